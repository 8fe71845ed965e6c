"""End one process of each kind while many clients read: every client must get what a single process writes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from signal import Signals
from typing import Any, Final

from tandem.rehearsal.clients.prompts import Prompt
from tandem.rehearsal.clients.readers import Readers, Reading
from tandem.rehearsal.clients.reference import single_process
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tandem.rehearsal.report import table
from tandem.rehearsal.run import DifferenceError, Rehearsal
from tandem.rehearsal.tasks.launch import READY_SECONDS
from tandem.rehearsal.tasks.part import Part
from tandem.rehearsal.tasks.service import Service

STREAMS: Final[dict[Signals, int]] = {signal.SIGKILL: 200, signal.SIGTERM: 24}
"""Streams that are read while a process gets the signal: so many as end within any drain's bound, where it may."""
TOKENS: Final = 6
_TEXTS: Final = 40
"""Different prompts among the streams: the single process answers each once, which takes half a second."""
_MOMENT: Final = (0.2, 0.6)
"""The part of all tokens that has arrived when the signal comes; the very moment is drawn, by the process's name."""


def prompts(streams: int) -> list[Prompt]:
    """Return a prompt for each stream."""
    texts = [f"Tell me something about the number {number}." for number in range(_TEXTS)]
    return [Prompt(name=f"stream-{each}", text=texts[each % _TEXTS], max_tokens=TOKENS) for each in range(streams)]


def kill_each(rehearsal: Rehearsal, service: Service, _: EmbeddedCloud) -> None:
    """End one task of each service and one endpoint, in turn, and kill what runs beside a task.

    Raise ``DifferenceError`` where a stream suffered.
    """
    with rehearsal.timed("single_process_streams"):
        alone = single_process(rehearsal.root, prompts(_TEXTS))
    columns = ("process", "signal", "streams", "after_tokens", "as_alone", "retried", "resumed")
    rows = [[name.replace("_", " ") for name in columns]]
    for number in STREAMS:
        beside = _beside(service) if number is signal.SIGKILL else []
        for part in [*{part.service: part for part in reversed(service.parts)}.values(), *beside]:
            found = _end(rehearsal, service, part, number, alone)
            rehearsal.report.kills.append(found)
            rows.append([str(found[name]) for name in columns])
            require(found, of_killed_gateway=part.url is not None and number is signal.SIGKILL)
    rehearsal.say("\n" + table(rows) + "\n")


def _beside(service: Service) -> list[Part]:
    """Return what runs beside the tasks, the collector of spans: nobody waits until it serves, or for its end."""
    parts = {part.process.name for part in service.parts}
    left = [each for each in service.processes.running if each.name not in parts and not each.exited()]
    return [Part(each.name, each, lambda: True) for each in left]


def _end(
    rehearsal: Rehearsal, service: Service, part: Part, number: Signals, alone: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Read all streams, end ``part`` meanwhile, and start it again as ECS does; return the report's entry."""
    asked, name = prompts(STREAMS[number]), part.process.name
    tokens = sum(len(alone[stream % len(alone)]["token_ids"]) for stream in range(len(asked)))
    moment = int(tokens * random.Random(name).uniform(*_MOMENT))  # noqa: S311 - no secret
    rehearsal.say(f"{number.name} to {name} as {moment} of {tokens} tokens of {len(asked)} streams have arrived")
    before, started = retries(_logs(service)), time.monotonic()
    readings = Readers(service, after=moment, then=lambda: _send(part, number)).read(asked)
    retried = retries(_logs(service)) - before
    found = {
        "process": name,
        "signal": number.name,
        "streams": len(readings),
        "tokens": sum(len(reading.ids) for reading in readings),
        "after_tokens": moment,
        "as_alone": sum(_equal(*each, alone) for each in enumerate(readings)),
        "retried": retried.total(),
        "retries": dict(retried),
        "resumed": sum(bool(reading.broke) for reading in readings),
        "broke": dict(Counter(why for reading in readings for why in reading.broke)),
        "refused": dict(Counter(why for reading in readings for why in reading.refused)),
        "seconds": round(time.monotonic() - started, 3),
        "status": part.status(),
    }
    service.processes.running.remove(part.process)
    part.process = service.processes.start(part.process.program)
    service.processes.wait_ready(part.process, part.ready, READY_SECONDS)
    return found


def require(found: dict[str, Any], *, of_killed_gateway: bool) -> None:
    """Raise ``DifferenceError`` where a client lost a token, or its stream broke though no gateway was killed."""
    ended = f"{found['process']} got {found['signal']}"
    if found["as_alone"] != found["streams"]:
        wrong = found["streams"] - found["as_alone"]
        raise DifferenceError(f"{ended}, and {wrong} streams differ from a single process's")
    if found["resumed"] and not of_killed_gateway:
        raise DifferenceError(f"{ended}, and streams broke for clients: {found['broke']}")
    if found["signal"] == "SIGTERM" and found["status"] != 0:
        raise DifferenceError(f"{ended}, and ended with status {found['status']}")


def _send(part: Part, number: Signals) -> None:
    """Signal a process as ECS does, or, to kill it, all that it started as well."""
    if number is signal.SIGKILL:
        os.killpg(part.process.popen.pid, number)
    else:
        part.process.popen.send_signal(number)


def _equal(number: int, reading: Reading, alone: Sequence[dict[str, Any]]) -> bool:
    reference = alone[number % len(alone)]
    return bool(reading.ids == reference["token_ids"] and reading.text == reference["text"])


def retries(gateways: Iterable[Path]) -> Counter[str]:
    """Return what gateways did about failures, by leg, code and action, as the access logs in their files tell."""
    lines = [line for log in gateways for line in log.read_text().splitlines() if '"retries"' in line]
    return Counter(retry for line in lines for retry in json.loads(line)["retries"])


def _logs(service: Service) -> list[Path]:
    return [part.process.log for part in service.parts if part.url]
