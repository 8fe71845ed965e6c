"""Every command of docs/operations.md runs, in its order, against the embedded AWS with the deployment running."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.rehearsal.deploy.site import Site
from tandem.rehearsal.run import Rehearsal
from tandem.rehearsal.tasks.service import serving
from tandem.spec.read import read

pytestmark = pytest.mark.rehearsal

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deployments" / "rehearsal.yaml"
SECTIONS = [
    "First deploy",
    "Capacity Block",
    "Tenants",
    "Key rotation",
    "Model change",
    "Drain",
    "Incident",
    "Teardown",
]
UP = slice(1, 7)
"""The sections during which the deployment serves."""

FAILS_HERE = {
    "services": "moto counts no running tasks",
    "efa-interfaces": "moto gives every instance one plain interface",
    "efa-provider": "a laptop has no EFA",
    "placement": "moto puts no instance into a placement group",
    "decode-endpoint": "before it is served it has no such name, and later the key in the document is not its own",
}
"""Checks of doctor that may fail in the embedded AWS, and why."""


class Terminal:
    """Run commands one after another, as at an operator's terminal: what one sets, the next ones see."""

    def __init__(self, here: Site, folder: Path, file: Path) -> None:
        self._here, self._folder, self._state = here, folder, folder / "state.sh"
        variables = {
            "FILE": str(file),
            "NAME": "rehearsal",
            "ACCOUNT": here.cloud.account,
            "AWS_REGION": here.cloud.region,
        }
        self._state.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
        self._program("tandem", f'{sys.executable} -m tandem.cli "$@"')
        self._program("aws", f'{sys.executable} -m tests.rehearsals.aws_cli "$@"')
        # moto keeps no history of change sets
        self._program("cdk", f'[ "$1" != deploy ] || set -- "$@" --method=direct\n{ROOT}/node_modules/.bin/cdk "$@"')

    def run(self, command: str) -> None:
        """Run one command; of doctor's failures only those that are the embedded AWS's are let pass."""
        keep = f"set +e; declare -p SECRET TICKET OLD NEXT WORKERS GROUP CLUSTER >> {self._state} 2>/dev/null; true"
        script = f"set -eo pipefail; . {self._state}; {command}\n{keep}"
        environment = {
            **self._here.cdk.environment,
            **self._here.machine.environment(),
            **self._here.cloud.environment(),
        }
        environment["PATH"] = f"{self._folder}:{environment['PATH']}"
        # the CDK's CLI keeps the account of an access key in its home
        environment |= {"CI": "true", "CDK_HOME": str(self._folder / "cdk-home")}
        environment |= {"PYTHONPATH": f"{environment['PYTHONPATH']}:{ROOT}"}
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        failed = set(re.findall(r"^FAIL +(\S+)", done.stdout, flags=re.MULTILINE))
        excused = command.startswith("tandem doctor") and failed and failed <= FAILS_HERE.keys()
        if done.returncode and not excused:
            pytest.fail(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}", pytrace=False)

    def _program(self, name: str, body: str) -> None:
        path = self._folder / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)


def commands(section: str) -> Iterator[str]:
    """Yield the commands of one section of the document."""
    text = (ROOT / "docs" / "operations.md").read_text()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    for block in re.findall(r"```sh\n(.*?)```", body, flags=re.DOTALL):
        yield from block.strip().splitlines()


def test_every_section_has_commands() -> None:
    assert all(list(commands(section)) for section in SECTIONS)


def test_the_walk_through_works(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    # not the usual port: a server of somebody else's on all addresses would be in the way
    file.write_text(EXAMPLE.read_text().replace("gateway:\n", "gateway:\n  port: 18080\n"))
    deployment, _ = read(file)
    assert deployment
    rehearsal = Rehearsal(file, deployment, root=ROOT, work=tmp_path, say=lambda text, end="": None)
    (tmp_path / "bin").mkdir()
    with rehearsal.site() as here:
        terminal = Terminal(here, tmp_path / "bin", file)
        first, *_, last = SECTIONS
        for command in commands(first):
            if "--live" not in command:
                terminal.run(command)
        with serving(here.aws, here.machine):
            terminal.run("tandem doctor --live $FILE")
            for section in SECTIONS[UP]:
                for command in commands(section):
                    terminal.run(command)
        for command in commands(last):
            terminal.run(command)
