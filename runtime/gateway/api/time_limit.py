"""Bound how long requests go on: each by its own time, and all of them once the gateway was told to stop."""

from __future__ import annotations

import asyncio
import math

from runtime.handoff.contract import Code, HandoffError


class Stopping:
    """Follow the time limits of what runs, and bring them forward; made before, and used within, one running loop."""

    def __init__(self) -> None:
        self.at = math.inf
        """When nothing may go on any more, in the loop's seconds."""
        self.limits: set[TimeLimit] = set()

    @property
    def over(self) -> bool:
        """Whether that time has come."""
        return asyncio.get_running_loop().time() >= self.at

    def begin(self, seconds: float) -> None:
        """Let everything end within ``seconds`` from now on."""
        self.at = asyncio.get_running_loop().time() + seconds
        for limit in self.limits:
            limit.bring_forward(self.at)


class TimeLimit:
    """Cancel the task that makes it at a time in the loop's seconds, or when the gateway stops, until its ``end``.

    Within it as a context the cancellation becomes a ``HandoffError`` (``deadline_exceeded``, ``stopping``). Of
    contexts within each other the innermost tells; every wait must be within one.
    """

    def __init__(self, at: float, stopping: Stopping) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is handled by one
        self.at = min(at, stopping.at)
        self._loop = asyncio.get_running_loop()
        self._task = task
        self._stopping = stopping
        self._over = False
        self._timer = self._loop.call_at(self.at, self._cancel)
        stopping.limits.add(self)

    def bring_forward(self, at: float) -> None:
        """End no later than ``at``."""
        if at < self.at and not self._over:
            self.at = at
            self._timer.cancel()
            self._timer = self._loop.call_at(at, self._cancel)

    def end(self) -> None:
        """Limit nothing any more."""
        self._timer.cancel()
        self._stopping.limits.discard(self)

    def __enter__(self) -> None:
        if self._loop.time() >= self.at and not self._over:
            raise self._why()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        # whoever else cancels the task, as a client that leaves does, is not to be told of a time limit
        if self._over and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise self._why() from error

    def _cancel(self) -> None:
        self._over = True
        self._task.cancel()

    def _why(self) -> HandoffError:
        if self._stopping.over:
            return HandoffError(Code.STOPPING, "this gateway stops: ask again, which comes to another one")
        return HandoffError(Code.DEADLINE_EXCEEDED, "the request took longer than it may: ask for less")
