"""Run a rehearsal from the command line: progress on the terminal, the report on disk, a clear end in every case."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from tandem.rehearsal.changes import variants
from tandem.rehearsal.changes.kills import kill_each
from tandem.rehearsal.changes.life import rehearse_changes
from tandem.rehearsal.changes.variants import VariantError
from tandem.rehearsal.clients.prompts import Prompt, default_prompts
from tandem.rehearsal.cloud.images import ImageError
from tandem.rehearsal.cloud.server import EmbeddedCloud, EmbeddedCloudError
from tandem.rehearsal.errors import RehearsalError
from tandem.rehearsal.machine.programs import ProgramError
from tandem.rehearsal.machine.workspace import WorkspaceError, workspace
from tandem.rehearsal.report import Report
from tandem.rehearsal.run import Rehearsal
from tandem.rehearsal.tasks.service import Service
from tandem.spec.deployment import Deployment

_INTERRUPTED = 130
_MAX_TOKENS = 64


def rehearse(
    file: Path,
    deployment: Deployment,
    *,
    root: Path,
    keep: bool = False,
    changes: bool = False,
    kills: bool = False,
    transport: str = "UCX",
    texts: Sequence[str] | None = None,
    setup_seconds: float = 0.0,
) -> int:
    """Rehearse ``file``; return 0, 1 where it failed, 130 where it was interrupted. The report is always written.

    With ``changes`` it is also updated while clients ask, rolled back, and torn down with its data kept; with ``kills``
    one process of each kind dies while 200 clients read. Of each there are two then, and only one prompt is asked.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with workspace(root / ".rehearsal") as work:
            if kills or changes:
                deployment = variants.paired(file, deployment, work / "paired.yaml")
                file = work / "paired.yaml"
            rehearsal = Rehearsal(
                file.resolve(),
                deployment,
                root=root,
                work=work,
                say=_say,
                setup_seconds=setup_seconds,
                transport=transport,
                most=2 if kills or changes else 1,
            )
            prompts = _prompts(texts)
            if changes:
                return _rehearse(rehearsal, work, partial(rehearse_changes, rehearsal, prompts[0]))
            if kills:
                killing = partial(kill_each, rehearsal)
                return _rehearse(rehearsal, work, partial(rehearsal.run, prompts[:1], hold=killing))
            hold = partial(_hold, rehearsal.report, work) if keep else None
            return _rehearse(rehearsal, work, partial(rehearsal.run, prompts, hold=hold))
    except (ProgramError, WorkspaceError, VariantError) as error:
        return _failed(str(error))


def _rehearse(rehearsal: Rehearsal, work: Path, run: Callable[[], None]) -> int:
    report = rehearsal.report
    try:
        run()
    except (RehearsalError, EmbeddedCloudError, ImageError) as error:
        report.error = str(error)
        return _failed(report.error)
    except KeyboardInterrupt:
        report.error = "interrupted"
        print("\ninterrupted: everything was stopped", file=sys.stderr)
        return _INTERRUPTED
    finally:
        report.write(work / "report.json")
    _summary(rehearsal, work)
    return 0


def _prompts(texts: Sequence[str] | None) -> list[Prompt]:
    if not texts:
        return default_prompts(Path(__file__).parents[2])
    return [Prompt(name=f"prompt-{i}", text=text, max_tokens=_MAX_TOKENS) for i, text in enumerate(texts, 1)]


def _hold(report: Report, work: Path, service: Service, cloud: EmbeddedCloud) -> None:
    report.write(work / "report.json")
    model = service.model
    _say(
        f"the deployment stays up until Ctrl-C\n"
        f"  OpenAI clients:  base_url={service.url}/v1  api_key={service.key}  model={model}\n"
        f"  AWS clients:     AWS_ENDPOINT_URL={cloud.endpoint}  AWS_REGION={cloud.region}  any credentials"
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        _say("\nletting go")


def _summary(rehearsal: Rehearsal, work: Path) -> None:
    seconds = rehearsal.report.seconds
    _say("where the time went: " + ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))
    _say(f"ok: report in {work / 'report.json'}")


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


def _failed(message: str) -> int:
    print(f"\nrehearsal failed: {message}", file=sys.stderr)
    return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
