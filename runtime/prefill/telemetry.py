"""Publish what a worker's vLLM says of itself: leases, transfers, cache, and whether EFA is in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from runtime.handoff import background, emf, metrics, periods, settings
from runtime.handoff.efa import efa_devices_open
from runtime.handoff.metrics import Metric
from runtime.handoff.worker_status import SERVING
from runtime.prefill import scrape
from runtime.prefill.engine import Engine, EngineError
from runtime.prefill.status import Status

INTERVAL_SECONDS: Final = 10.0
_FIRST_SECONDS: Final = 1.0


class Telemetry:
    """Look at one vLLM now and then, and sum up each period.

    Counters are vLLM's increase since the last document, gauges the highest seen. What vLLM does not expose is absent.
    """

    def __init__(self, task: Mapping[str, str]) -> None:
        self._task = task
        stage = settings.required(task, settings.STAGE)
        self._dimensions = {metrics.DEPLOYMENT: settings.required(task, settings.DEPLOYMENT), metrics.STAGE: stage}
        self._counted: dict[Metric, float] = {}
        self._published: dict[Metric, float] = {}
        self._highest: dict[Metric, float] = {}
        self._efa_devices: int | None = None

    @property
    def seen(self) -> bool:
        """Whether vLLM has been looked at."""
        return self._efa_devices is not None

    def observe(self, exposition: str) -> None:
        """Take note of vLLM's metrics and of its open devices."""
        for metric, value in scrape.read(exposition).items():
            if metric in scrape.GAUGES.values():
                self._highest[metric] = max(value, self._highest.get(metric, value))
            else:
                self._counted[metric] = value
        self._efa_devices = efa_devices_open(self._task)

    def provider(self) -> str | None:
        """Return ``efa`` or ``other``, None as long as nobody has looked."""
        return None if self._efa_devices is None else "efa" if self._efa_devices else "other"

    def take_line(self, began: float) -> str:
        """Return the document of the period that ``began`` then, and begin the next."""
        values = {metric: now - self._published.get(metric, 0.0) for metric, now in self._counted.items()}
        values |= {**self._highest, metrics.EFA_IN_USE: float(bool(self._efa_devices))}
        self._published, self._highest = dict(self._counted), {}
        said = {"efa_devices": self._efa_devices, "provider": self.provider()}
        return emf.line(values, dimensions=self._dimensions, began=began, **said)


@asynccontextmanager
async def reporting(
    telemetry: Telemetry, engine: Engine, status: Status, write: Callable[[str], None]
) -> AsyncIterator[None]:
    """Look at vLLM every ten seconds from when it serves, and publish each minute and at the end."""

    async def publish(began: float) -> None:
        if telemetry.seen:
            write(telemetry.take_line(began))

    async with background.running(_look(telemetry, engine, status)), periods.publishing(publish):
        yield


async def _look(telemetry: Telemetry, engine: Engine, status: Status) -> None:
    while True:
        if status.state in SERVING:
            # one that does not answer is the supervisor's affair, which asks more often
            with suppress(EngineError):
                text = await engine.exposition()
                await asyncio.to_thread(telemetry.observe, text)
                status.provider = telemetry.provider()
        await asyncio.sleep(INTERVAL_SECONDS if telemetry.seen else _FIRST_SECONDS)
