"""The CDK's CLI is run as an operator runs it, and its failures are shown."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tandem.rehearsal.deploy.cdk import Cdk, CdkError
from tests.patience import HUNG_SECONDS

DEPLOY = """
print("rehearsal-network | 1/3 | CREATE_COMPLETE")
print(" ✅  rehearsal-network")
print("")
print("✨  Deployment time: 2.5s")
print(" ✅  rehearsal-gateway (no changes)")
"""


class Cli:
    """Stand in for ``cdk`` on PATH by a Python program; tell what it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.environment = {"PATH": f"{folder}:{os.environ['PATH']}", "GIVEN": "1"}

    def cdk(self, source: str) -> Cdk:
        """Put ``source`` on PATH as ``cdk``."""
        program = self.folder / "cdk"
        note = (
            "import os, pathlib, sys; pathlib.Path(__file__).with_name('call').write_text(repr((sys.argv[1:],"
            " os.getcwd(), os.environ.get('GIVEN'), os.environ['CI'], os.environ['CDK_HOME'])))"
        )
        program.write_text(f"#!{sys.executable} -u\n{note}\n{source}\n", encoding="utf-8")
        program.chmod(0o755)
        work = self.folder / "work"
        work.mkdir()
        return Cdk(self.folder, work / "cdk.out", self.environment, work / "cdk.log", self.said.append)

    @property
    def call(self) -> str:
        """The last call: arguments, folder, and the variables that matter."""
        return (self.folder / "call").read_text()


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_deploy_tells_which_stacks_changed(cli: Cli) -> None:
    cdk = cli.cdk(DEPLOY)
    assert cdk.deploy() == {"rehearsal-network": True, "rehearsal-gateway": False}
    assert [line.split(" after ")[0] for line in cli.said] == [
        "  rehearsal-network done",
        "  rehearsal-gateway unchanged",
    ]
    assert cdk.log.read_text(encoding="utf-8") == DEPLOY[1:].replace('print("', "").replace('")', "")


def test_gives_the_environment_and_a_home_of_its_own(cli: Cli) -> None:
    cdk = cli.cdk("")
    cdk.synth(Path("/file.yaml"))
    arguments = ["--no-notices", "--no-color", "synth", "--quiet", "--context", "deployment=/file.yaml"]
    expected = (
        [*arguments, "--output", str(cdk.assembly)],
        str(cdk.root),
        "1",
        "true",
        str(cdk.log.parent / "cdk-home"),
    )
    assert cli.call == repr(expected)


def test_bootstraps_outside_the_app(cli: Cli) -> None:
    cdk = cli.cdk("")
    cdk.bootstrap("111122223333", "us-east-2")
    assert "'bootstrap', 'aws://111122223333/us-east-2'" in cli.call
    assert repr(str(cdk.log.parent)) in cli.call


def test_shows_the_end_of_what_a_failure_printed(cli: Cli) -> None:
    cdk = cli.cdk("for i in range(40): print('line', i, file=sys.stderr)\nsys.exit('stack failed')")
    with pytest.raises(CdkError) as raised:
        cdk.destroy()
    head, *lines = str(raised.value).splitlines()
    assert head == "cdk destroy failed; it printed at the end:"
    assert lines == [*(f"  line {i}" for i in range(16, 40)), "  stack failed"]
    assert "line 0\n" in cdk.log.read_text(), "the log holds everything"


def test_output_that_is_not_utf_8_is_shown_as_it_can_be(cli: Cli) -> None:
    cdk = cli.cdk("sys.stdout.buffer.write(b'\\xff\\n'); sys.exit(1)")
    with pytest.raises(CdkError, match="\ufffd"):
        cdk.destroy()


def test_says_that_there_is_no_cdk(cli: Cli) -> None:
    cdk = cli.cdk("")
    (cli.folder / "cdk").unlink()
    cli.environment["PATH"] = str(cli.folder)
    with pytest.raises(CdkError, match="cdk is not on PATH: install the Node packages"):
        cdk.deploy()


def test_an_interrupt_ends_the_cli_and_its_children(cli: Cli) -> None:
    source = """
import subprocess, time
child = subprocess.Popen(["sleep", "600"])
print(child.pid, " ✅  rehearsal-network")
time.sleep(600)
"""
    cdk = cli.cdk(source)

    def interrupt(text: str) -> None:
        signal.raise_signal(signal.SIGINT)

    object.__setattr__(cdk, "say", interrupt)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        cdk.deploy()
    assert time.monotonic() - started < HUNG_SECONDS
    child = int(cdk.log.read_text(encoding="utf-8").split()[0])
    while Path(f"/proc/{child}").exists() and ") Z " not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() - started < HUNG_SECONDS, "the child of the CLI is still there"
        time.sleep(0.01)
