"""The emulator keeps every clause; an endpoint that breaks one is found by that clause."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import aiohttp
import pytest

from tandem.conformance import parties as examined
from tandem.conformance.clauses import CLAUSES, layout, slow_consumer
from tandem.conformance.command import examine
from tandem.conformance.parties import Parties
from tests.patience import HUNG_SECONDS
from tests.runtime.standins.cs3.flow import (
    DECODE_KEY,
    MODEL,
    TICKET_KEY,
    WORKER_HOST,
    WORKER_KEY,
    emulator,
    prefill_worker,
)
from tests.tandem.conformance.broken import BROKEN, broken

pytestmark = pytest.mark.rehearsal

ENDS_SECONDS = 30
"""When reservations and leases end by themselves: longer than the kit waits for them to be given back."""
PATIENT_SECONDS = 20.0
"""How long it waits here, where a core may be away for seconds."""

ENVIRONMENT = {"TANDEM_DECODE_KEY": DECODE_KEY, "TANDEM_TICKET_KEY": TICKET_KEY, "TANDEM_PREFILL_KEY": WORKER_KEY}


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the URLs of an emulator with room for five reservations of full length, and of a worker."""
    logs = tmp_path_factory.mktemp("logs")
    flags = ("--memory-gib=1", f"--reservation-ttl-seconds={ENDS_SECONDS}")
    with (
        emulator(logs / "emulator.log", *flags) as (_, decode),
        prefill_worker(logs / "worker.log", lease_seconds=ENDS_SECONDS) as (_, prefill),
    ):
        yield decode, prefill


@pytest.fixture
async def parties(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parties]:
    monkeypatch.setenv("UCX_NET_DEVICES", "lo")
    for module in (examined, layout):
        monkeypatch.setattr(module, "FREE_WITHIN_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(slow_consumer, "OTHERS_SECONDS", PATIENT_SECONDS)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HUNG_SECONDS)) as http:
        yield Parties(
            http=http,
            endpoint=urls[0],
            endpoint_key=DECODE_KEY,
            model=MODEL,
            ticket_key=TICKET_KEY.encode(),
            worker=urls[1],
            worker_key=WORKER_KEY,
        )


@pytest.mark.parametrize("clause", CLAUSES)
async def test_the_emulator_keeps_each_clause(parties: Parties, clause: str) -> None:
    assert (await examine(parties, clause, CLAUSES[clause])).breach == ""


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tandem.cli", "conformance", *words, "--model", MODEL]
    return subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)


def test_the_command_reports_each_clause_as_json(urls: tuple[str, str]) -> None:
    decode, prefill = urls
    words = (
        "--prefill",
        prefill,
        "--host",
        WORKER_HOST,
        "--output",
        "json",
        "--clause=capabilities",
        "--clause=decode",
    )
    done = _run(decode, *words)
    assert done.returncode == 0, done.stderr
    clauses = [{"clause": name, "breach": ""} for name in ("capabilities", "decode")]
    assert json.loads(done.stdout) == {"contract": "1", "url": decode, "clauses": clauses}


def test_a_breach_is_status_1(urls: tuple[str, str]) -> None:
    decode, prefill = urls
    done = _run(prefill, "--prefill", prefill, "--clause=capabilities")
    assert done.returncode == 1
    assert done.stdout.startswith("BROKEN  capabilities")
    assert decode not in done.stdout


def test_an_unknown_clause_is_status_2(urls: tuple[str, str]) -> None:
    done = _run(urls[0], "--clause=none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown clause 'none', the contract has capabilities" in done.stderr


async def _until_nothing_is_held(parties: Parties) -> None:
    """Wait for what an endpoint that was broken before left behind, or a clause might break for that."""
    for _ in range(4):
        if not (await examine(parties, "held", Parties.require_nothing_held)).breach:
            return
    raise AssertionError(f"something is held though reservations and leases end after {ENDS_SECONDS} s")


@pytest.mark.parametrize("clause", CLAUSES)
async def test_an_endpoint_that_breaks_a_clause_is_found(parties: Parties, clause: str) -> None:
    await _until_nothing_is_held(parties)
    handler, breach = BROKEN[clause]
    async with broken(parties.endpoint, DECODE_KEY, handler) as url:
        found = await examine(replace(parties, endpoint=url), clause, CLAUSES[clause])
    assert breach in found.breach
