"""Look whether something happens in time, by a timer that is seldom set."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class Watch:
    """Call ``late`` once a time has passed, unless another one was told by then.

    A timer costs more than a request has to spare. So one that would end too soon stays, and looks again when it ends:
    as times mostly move forward, a busy connection sets one in a while rather than one a request.
    """

    def __init__(self, late: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._late = late
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def until(self, at: float) -> None:
        """Wait until ``at``, in the loop's seconds."""
        self._at = at
        if self._timer is None or self._timer.when() > at:
            self.close()
            self._timer = self._loop.call_at(at, self._look)

    def off(self) -> None:
        """Wait for nothing."""
        self._at = math.inf

    def close(self) -> None:
        """Set no timer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() >= self._at:
            self._at = math.inf
            self._late()
        elif self._at < math.inf:
            self.until(self._at)
