"""Bound how long requests go on: each by its own time, and all of them once the gateway was told to stop."""

from __future__ import annotations

import asyncio
import math

from runtime.handoff.contract import Code, HandoffError


class Stopping:
    """Follow the time limits of what runs, and bring them forward; made before, and used within, one running loop.

    One timer serves all limits, as one for each would cost a request more than it has to spare: it is set for the
    earliest, and when that has passed or ended, for the earliest of those that are left then.
    """

    def __init__(self) -> None:
        self.at = math.inf
        """When nothing may go on any more, in the loop's seconds."""
        self.limits: set[TimeLimit] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """Whether that time has come."""
        return asyncio.get_running_loop().time() >= self.at

    def begin(self, seconds: float) -> None:
        """Let everything end within ``seconds`` from now on."""
        self.at = asyncio.get_running_loop().time() + seconds
        for limit in self.limits:
            limit.bring_forward(self.at)

    def look(self, at: float) -> None:
        """Look at ``at``, in the loop's seconds, whose time is over."""
        if self._timer is None or at < self._timer.when():
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for limit in self.limits:
            limit.look(now)
        running = [limit.at for limit in self.limits if not limit.over]
        if running:
            self.look(min(running))


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
        self.over = False
        """Whether it has cancelled the task."""
        stopping.limits.add(self)
        stopping.look(self.at)

    def bring_forward(self, at: float) -> None:
        """End no later than ``at``."""
        if at < self.at and not self.over:
            self.at = at
            self._stopping.look(at)

    def look(self, now: float) -> None:
        """Cancel the task if its time is over."""
        if self.at <= now and not self.over:
            self.over = True
            self._task.cancel()

    def end(self) -> None:
        """Limit nothing any more."""
        self._stopping.limits.discard(self)

    def __enter__(self) -> None:
        if self._loop.time() >= self.at and not self.over:
            raise self._why()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        # whoever else cancels the task, as a client that leaves does, is not to be told of a time limit
        if self.over and kind is asyncio.CancelledError and self._task.uncancel() == 0:
            raise self._why() from error

    def _why(self) -> HandoffError:
        if self._stopping.over:
            return HandoffError(Code.STOPPING, "this gateway stops: ask again, which comes to another one")
        return HandoffError(Code.DEADLINE_EXCEEDED, "the request took longer than it may: ask for less")
