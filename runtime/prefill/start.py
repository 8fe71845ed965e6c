"""Follow vLLM from its start until it generates: how long it may take depends on whether it compiles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from runtime.handoff.worker_status import State
from runtime.prefill.engine import Engine, EngineError
from runtime.prefill.status import Status


class NotServingError(RuntimeError):
    """Tell how long vLLM has not served."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Bound one start, in seconds: ``warm`` where artifacts are at hand, ``cold`` from when ``compiles`` says yes."""

    warm: float
    cold: float
    compiles: Callable[[], bool]

    async def follow(self, engine: Engine, status: Status, poll: float, *, generates: bool = True) -> None:
        """Return once the server is up and, where it ``generates``, has answered; raise ``NotServingError``."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while not await engine.healthy():
            self._show(status)
            self._require(clock() - began)
            await asyncio.sleep(poll)
        if not generates:
            return
        try:
            await engine.answer(max(poll, self._limit() - (clock() - began)))
        except EngineError as error:
            raise NotServingError(f"vLLM is up and generates nothing: {error}") from error

    def _show(self, status: Status) -> None:
        status.state = State.COMPILING if self.compiles() else State.STARTING

    def _limit(self) -> float:
        return self.cold if self.compiles() else self.warm

    def _require(self, took: float) -> None:
        if took > self._limit():
            field = "start_seconds" if self.compiles() else "warm_start_seconds"
            raise NotServingError(f"vLLM does not serve {took:.0f} s after its start: raise {field} if it needs longer")
