"""Be the ``tandem conformance`` command: examine every clause, and print a table or JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import aiohttp

from runtime.handoff import settings
from runtime.handoff.contract import HandoffError
from tandem.conformance.clauses import CLAUSES, Clause
from tandem.conformance.parties import BreachError, Parties
from tandem.conformance.worker import WorkerError, worker

CALL_SECONDS: Final = 60.0
PREFILL_KEY: Final = "TANDEM_PREFILL_KEY"
"""The key of the worker that ``--prefill`` names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """Hold what came of one clause; ``breach`` is empty where it holds."""

    clause: str
    breach: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Say what is examined, as whom; ``host`` is this machine's address, as the endpoint reaches it."""

    url: str
    model: str
    host: str
    prefill: str | None


def conformance(subject: Subject, *, only: Iterable[str], as_json: bool) -> int:
    """Print what came of each clause; return 1 where one is broken, 2 where the examination cannot begin, else 0."""
    try:
        examined = asyncio.run(_examine(subject, list(only) or list(CLAUSES)))
    except (settings.SettingError, WorkerError, HandoffError, TimeoutError, OSError) as error:
        print(f"cannot examine {subject.url}: {error}", file=sys.stderr)
        return 2
    if as_json:
        print(
            json.dumps({"contract": "1", "url": subject.url, "clauses": [asdict(each) for each in examined]}, indent=2)
        )
    else:
        print(
            "\n".join(f"{'BROKEN' if each.breach else 'holds':<7} {each.clause:<14} {each.breach}" for each in examined)
        )
    return 1 if any(each.breach for each in examined) else 0


async def examine(parties: Parties, clause: str, check: Clause) -> Examined:
    """Examine one clause; an endpoint that breaks the connection, or answers in another shape, breaks the clause."""
    try:
        await check(parties)
    except BreachError as breach:
        return Examined(clause=clause, breach=str(breach))
    except (aiohttp.ClientError, TimeoutError) as error:
        return Examined(clause=clause, breach=f"no answer: {type(error).__name__}: {error}")
    except (LookupError, TypeError, ValueError) as error:
        return Examined(clause=clause, breach=f"an answer has another shape: {type(error).__name__}: {error}")
    return Examined(clause=clause, breach="")


async def _examine(subject: Subject, names: list[str]) -> list[Examined]:
    os.environ.setdefault("UCX_NET_DEVICES", "lo" if subject.host.startswith("127.") else "all")
    async with AsyncExitStack() as stack:
        if subject.prefill:
            url, key = subject.prefill.rstrip("/"), os.environ.get(PREFILL_KEY, "")
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-conformance-")))
            url, key = await stack.enter_async_context(worker(subject.model, subject.host, folder / "worker.log"))
        http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS))
        parties = Parties(
            http=await stack.enter_async_context(http),
            endpoint=subject.url.rstrip("/"),
            endpoint_key=settings.required(os.environ, settings.DECODE_KEY),
            model=subject.model,
            ticket_key=settings.required(os.environ, settings.TICKET_KEY).encode(),
            worker=url,
            worker_key=key,
        )
        return [await examine(parties, name, CLAUSES[name]) for name in names]
