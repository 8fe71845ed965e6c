"""Update a deployment while clients ask: no request may fail, and every stream must be a single process's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tandem.rehearsal.changes import update
from tandem.rehearsal.changes.kills import retries
from tandem.rehearsal.clients.load import Load
from tandem.rehearsal.clients.prompts import Prompt
from tandem.rehearsal.clients.reference import single_process
from tandem.rehearsal.deploy.site import Site
from tandem.rehearsal.report import table
from tandem.rehearsal.run import DifferenceError, Rehearsal
from tandem.rehearsal.tasks.rolling import Replaced, roll_endpoints, roll_tasks
from tandem.rehearsal.tasks.service import Service

_TEXTS: Final = 8
_TOKENS: Final = 16
_SHOWN: Final = 5


def update_under_load(rehearsal: Rehearsal, here: Site, service: Service) -> Path:
    """Replace endpoints, deploy a changed file, and replace its tasks; return the file.

    Raise ``DifferenceError`` where a request failed, or where nobody asked when something was told to end.
    """
    texts = [f"Tell me a story about the number {number}." for number in range(_TEXTS)]
    prompts = [Prompt(name=f"load-{number}", text=text, max_tokens=_TOKENS) for number, text in enumerate(texts)]
    with rehearsal.timed("single_process_load"):
        alone = single_process(rehearsal.root, prompts)
    with rehearsal.timed("update_under_load"), Load(service, prompts) as load:
        rehearsal.say("replacing endpoints while clients ask")
        replaced = roll_endpoints(service)
        file = update.update(rehearsal, here)
        rehearsal.say("replacing what the update changed, as ECS does")
        replaced += roll_tasks(service)
    entries = [_entry(each, load) for each in replaced]
    rehearsal.report.changes["rolling"] = {
        "requests": len(load.asked),
        "streams": sum(each.stream for each in load.asked),
        "retries": dict(retries((rehearsal.work / "logs").glob("*.log"))),
        "replaced": entries,
    }
    rehearsal.say(table([["replaced", "at a time", "asked meanwhile", "seconds"], *map(_row, entries)]))
    require(load.wrong(alone), entries)
    return file


def require(wrong: Sequence[str], entries: Sequence[dict[str, Any]]) -> None:
    """Raise ``DifferenceError`` where requests went ``wrong``, or the update was none or met no request."""
    if wrong:
        raise DifferenceError(f"{len(wrong)} requests suffered from the update: {'; '.join(wrong[:_SHOWN])}")
    idle = [entry["name"] for entry in entries if not entry["under_way"]]
    if idle or not entries:
        raise DifferenceError(f"nobody asked while these were told to end, which proves nothing: {idle}")


def _entry(replaced: Replaced, load: Load) -> dict[str, Any]:
    under_way = [sum(each.began < told < each.ended for each in load.asked) for told in replaced.told]
    seconds = round(replaced.ended - replaced.began, 3)
    return {"name": replaced.name, "batches": replaced.batches, "under_way": min(under_way), "seconds": seconds}


def _row(entry: dict[str, Any]) -> list[str]:
    batches = "+".join(map(str, entry["batches"]))
    return [entry["name"], batches, str(entry["under_way"]), f"{entry['seconds']:.1f}"]
