"""Run vLLM as a child: tell when it serves, end it where it no longer does, and let its KV be read before it stops.

SIGTERM, with which ECS stops a task, drains: no new requests, wait until nothing is held, then stop vLLM. SIGINT, or a
second SIGTERM, stops at once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.handoff.worker_status import State
from runtime.prefill.child import end, first
from runtime.prefill.engine import Engine, EngineError
from runtime.prefill.start import NotServingError, Start
from runtime.prefill.status import Status

NOT_SERVING: Final = 5
"""The exit status where vLLM runs and does not serve."""
_SERVING: Final = (State.READY, State.SILENT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bound the phases, in seconds.

    ``quiet`` is how long nothing may be held before a drain ends: a gateway hears of it within ``INTERVAL_SECONDS`` of
    its discovery and its probe's time-out, five seconds, and may have sent its last request then.
    """

    start: Start
    drain: float
    poll: float = 2.0
    quiet: float = 8.0
    silent: float = 60.0
    kill: float = 10.0


class Supervisor:
    """Supervise one vLLM server for one run; ``on_ready`` runs beside it once it generates."""

    def __init__(
        self,
        engine: Engine,
        status: Status,
        limits: Limits,
        say: Callable[[str], None],
        on_ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine, self._status, self._limits, self._say = engine, status, limits, say
        self._on_ready = on_ready
        self._stop, self._now = asyncio.Event(), asyncio.Event()

    @property
    def told_to_stop(self) -> bool:
        """Whether the run ends by a signal, and not by a fault."""
        return self._stop.is_set()

    async def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Return the exit status: vLLM's own, 128 + n where signal n ended it, ``NOT_SERVING``; raise ``OSError``."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._told_to_stop)
        loop.add_signal_handler(signal.SIGINT, self._told_to_stop_now)
        process = await asyncio.create_subprocess_exec(*command, env=dict(environment))
        watch = asyncio.create_task(self._watch())
        await first(process.wait(), asyncio.shield(watch), self._stop.wait())
        if watch.done() and not self._stop.is_set():
            # a server that dies is silent first: then its own status tells more
            await first(process.wait(), asyncio.sleep(self._limits.poll))
            if process.returncode is None:
                self._say(str(watch.exception()))
                await end(process, self._limits.kill, self._say)
                return NOT_SERVING
        watch.cancel()
        if process.returncode is None:
            serves, self._status.state = self._status.state in _SERVING, State.DRAINING
            if serves and not self._now.is_set():
                await first(process.wait(), self._now.wait(), self._drain())
        return await end(process, self._limits.kill, self._say)

    async def _watch(self) -> None:
        """Keep the state true until vLLM has not served for too long, which raises ``NotServingError``."""
        await self._limits.start.follow(self._engine, self._status, self._limits.poll)
        self._say("ready")
        clock = asyncio.get_running_loop().time
        served = clock()
        beside = asyncio.ensure_future(self._on_ready())
        try:
            while clock() - served < self._limits.silent:
                self._status.state = State.READY if clock() - served <= self._limits.poll else State.SILENT
                await asyncio.sleep(self._limits.poll)
                if await self._engine.healthy():
                    served = clock()
        finally:
            beside.cancel()
        raise NotServingError(f"vLLM has not answered /health for {self._limits.silent:.0f} s: it is ended")

    async def _drain(self) -> None:
        """Return once nothing was held for ``quiet`` seconds, or after ``drain`` seconds."""
        self._say(f"draining: vLLM stops once requests and KV are gone, at the latest in {self._limits.drain:.0f} s")
        try:
            async with asyncio.timeout(self._limits.drain):
                await self._nothing_held()
        except TimeoutError:
            self._say(f"drained only in part after {self._limits.drain:.0f} s: what is still held is lost")
        else:
            self._say("drained")

    async def _nothing_held(self) -> None:
        clock = asyncio.get_running_loop().time
        since = clock()
        while clock() - since < self._limits.quiet:
            try:
                if any((await self._engine.held()).values()):
                    since = clock()
            except EngineError as error:
                self._say(f"draining: {error}")
                since = clock()
            await asyncio.sleep(self._limits.poll)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            self._now.set()
        self._stop.set()

    def _told_to_stop_now(self) -> None:
        self._now.set()
        self._stop.set()
