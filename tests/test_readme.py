"""Hold the README's commands and links to what is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

ELSEWHERE = {
    "make rehearse": "CI's tier make test-rehearsal runs what it runs, tests/rehearsals/test_deployments.py",
    "make test": "CI itself",
    "make rehearse DEPLOYMENT=deployments/llama-3.3-70b-trn2-cs3.yaml": "tests/rehearsals/test_deployments.py",
    "make rehearse-kills": "tests/rehearsals/test_streams.py",
    "make rehearse-changes": "tests/rehearsals/test_changes.py",
    ". .venv/bin/activate && export PATH=$PWD/node_modules/.bin:$PATH": "what every target of the Makefile exports",
    "cdk deploy --all --context deployment=deployments/llama-3.3-70b-trn2-cs3.yaml": "every rehearsal of that file",
}
"""Commands that are too long for a unit test, and what runs them instead."""


def _commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    return [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_every_command_is_run_somewhere() -> None:
    known = {*ELSEWHERE, *_quick()}
    assert set(_commands()) == known


@pytest.mark.parametrize("command", [command for command in _commands() if command not in ELSEWHERE])
def test_quick_commands_work(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    if words[0] == "tandem":
        words = [sys.executable, "-m", "tandem.cli", *words[1:]]
    if words[0] == "cdk":
        words += ["--output", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z][a-z-]+)", README))))
def test_targets_are_in_the_makefile(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def _quick() -> set[str]:
    return {command for command in _commands() if command.startswith(("tandem validate", "cdk synth"))}
