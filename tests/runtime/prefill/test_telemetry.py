"""What a worker publishes of its vLLM."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from runtime.handoff import periods, settings
from runtime.handoff.efa import efa_devices_open
from runtime.handoff.worker_status import State
from runtime.prefill import telemetry as module
from runtime.prefill.engine import Engine
from runtime.prefill.status import Status
from runtime.prefill.telemetry import Telemetry, reporting
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.standin_peers import CERTIFICATE, HOST, serving


def _exposition(*, expired: float = 0, usage: float = 0) -> str:
    return f"vllm:nixl_num_kv_expired_reqs_total {expired}\nvllm:kv_cache_usage_perc {usage}\n"


@pytest.fixture
def task(tmp_path: Path) -> dict[str, str]:
    for index in range(2):
        device = tmp_path / f"dev/infiniband/uverbs{index}"
        device.parent.mkdir(parents=True, exist_ok=True)
        device.touch()
    return {settings.DEPLOYMENT: "small", settings.STAGE: "prefill", settings.HOST_ROOT: str(tmp_path)}


def _taken(telemetry: Telemetry) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(telemetry.take_line(60.0))
    return document


def test_counters_are_published_as_their_increase_and_gauges_as_their_peak(task: dict[str, str]) -> None:
    telemetry = Telemetry(task)
    telemetry.observe(_exposition(expired=2, usage=0.5))
    telemetry.observe(_exposition(expired=3, usage=0.25))
    first = _taken(telemetry)
    assert (first["Deployment"], first["Stage"]) == ("small", "prefill")
    assert (first["KvLeaseExpired"], first["KvCacheUsage"]) == (3, 0.5)
    telemetry.observe(_exposition(expired=3, usage=0.125))
    second = _taken(telemetry)
    assert (second["KvLeaseExpired"], second["KvCacheUsage"]) == (0, 0.125)
    assert "KvTransferBytes" not in second  # this vLLM does not expose it


def test_open_efa_devices_are_what_counts_as_efa(task: dict[str, str]) -> None:
    telemetry = Telemetry(task)
    assert telemetry.provider() is None
    telemetry.observe("")
    assert (telemetry.provider(), _taken(telemetry)["EfaInUse"]) == ("other", 0)
    devices = Path(task[settings.HOST_ROOT], "dev/infiniband")
    with (devices / "uverbs0").open() as _, (devices / "uverbs1").open() as _, (devices / "uverbs1").open() as _:
        assert efa_devices_open(task) == 2
        telemetry.observe("")
    said = _taken(telemetry)
    assert (said["EfaInUse"], said["efa_devices"], said["provider"]) == (1, 2, "efa")


async def test_nothing_is_asked_before_vllm_serves_and_the_last_period_is_published(
    task: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(periods, "remaining", lambda _: 3600.0)  # no minute of the clock ends meanwhile
    asked = asyncio.Event()

    async def scraped(_: web.Request) -> web.Response:
        assert status.state is State.READY
        asked.set()
        return web.Response(text=_exposition(expired=1))

    app = web.Application()
    app.router.add_get("/metrics", scraped)
    status, telemetry, written = Status(), Telemetry(task), list[str]()
    async with serving(app, CERTIFICATE) as server:
        engine = Engine(url=f"https://{HOST}:{server.port}", model="m", key="k", trust=CERTIFICATE.client())
        async with reporting(telemetry, engine, status, written.append):
            await asyncio.sleep(0.05)
            status.state = State.READY
            await asyncio.wait_for(asked.wait(), HUNG_SECONDS)
            while not telemetry.seen:
                await asyncio.sleep(0.01)
    [line] = written
    assert json.loads(line)["KvLeaseExpired"] == 1
    assert status.provider == "other"


async def test_a_worker_whose_vllm_never_served_publishes_nothing(task: dict[str, str]) -> None:
    written: list[str] = []
    engine = Engine(url=f"https://{HOST}:1", model="m", key="k", trust=CERTIFICATE.client())
    async with reporting(Telemetry(task), engine, Status(), written.append):
        await asyncio.sleep(0)
    assert written == []
