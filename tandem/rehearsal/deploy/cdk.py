"""Run the real CDK CLI against the embedded AWS."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tandem.rehearsal.errors import RehearsalError

_STACK_DONE = re.compile(r"✅\s+(?P<stack>\S+?)(?P<unchanged> \(no changes\))?$")
_TAIL = 25


class CdkError(RehearsalError):
    """Say which CDK command failed, and show the end of what it printed."""


@dataclass(frozen=True, slots=True)
class Cdk:
    """Run ``cdk`` in ``root`` with ``environment``, keep everything it prints in ``log`` and tell ``say`` of stacks."""

    root: Path
    assembly: Path
    environment: Mapping[str, str]
    log: Path
    say: Callable[[str], None]

    def synth(self, deployment: Path) -> None:
        """Synthesize the deployment file into the assembly."""
        self._run("synth", "--quiet", "--context", f"deployment={deployment}", "--output", str(self.assembly))

    def bootstrap(self, account: str, region: str) -> None:
        """Put CDK's own bucket, repository and roles into the account."""
        # outside the app's folder, or the CLI would synthesize it first
        self._run("bootstrap", f"aws://{account}/{region}", cwd=self.log.parent)

    def deploy(self) -> dict[str, bool]:
        """Deploy every stack; return for each whether it changed."""
        # moto keeps no history of change sets, so templates are deployed directly
        output = self._run(
            "deploy", "--all", "--app", str(self.assembly), "--method=direct", "--require-approval=never"
        )
        done = (_STACK_DONE.search(line) for line in output)
        return {match["stack"]: not match["unchanged"] for match in done if match}

    def destroy(self, stack: str = "--all") -> None:
        """Destroy every stack, or one with all that depend on it."""
        self._run("destroy", stack, "--force", "--app", str(self.assembly))

    def _run(self, *arguments: str, cwd: Path | None = None) -> list[str]:
        with self._started(arguments, cwd or self.root) as process:
            try:
                lines = self._follow(process)
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                raise
        if process.returncode != 0:
            raise CdkError(f"cdk {arguments[0]} failed; it printed at the end:\n  " + "\n  ".join(lines[-_TAIL:]))
        return lines

    def _started(self, arguments: Sequence[str], cwd: Path) -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                ["cdk", "--no-notices", "--no-color", *arguments],
                cwd=cwd,
                # the CLI keeps the account id of an access key between runs, in its home
                env={**self.environment, "CI": "true", "CDK_HOME": str(self.log.parent / "cdk-home")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise CdkError("cdk is not on PATH: install the Node packages and put node_modules/.bin there") from error

    def _follow(self, process: subprocess.Popen[str]) -> list[str]:
        lines, started = [], time.monotonic()
        assert process.stdout is not None  # noqa: S101 - it was asked for
        with self.log.open("a", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                lines.append(line.rstrip())
                if done := _STACK_DONE.search(lines[-1]):
                    state = "unchanged" if done["unchanged"] else "done"
                    self.say(f"  {done['stack']} {state} after {time.monotonic() - started:.1f} s")
        return lines
