"""Let a request's deadline travel with it: each hop is told what is left, since clocks differ."""

from __future__ import annotations

from typing import Final, Self

import msgspec

from runtime.handoff.contract import Code, HandoffError


class Deadline(msgspec.Struct, frozen=True):
    """Hold when nobody waits any more, in seconds of the caller's monotonic clock; None: no limit was set."""

    at: float | None = None

    @classmethod
    def read(cls, header: str | None, now: float) -> Self:
        """Return the deadline that a request's header sets; raise ``HandoffError`` (``invalid_request``)."""
        if header is None:
            return cls(None)
        if not (header.isascii() and header.isdecimal() and 0 < len(header) < 10 and int(header)):
            message = f"the time limit is {header[:20]!r}: a whole number of milliseconds from 1 to 999999999 is needed"
            raise HandoffError(Code.INVALID_REQUEST, message)
        return cls(now + int(header) / 1000)

    def earlier(self, at: float) -> float:
        """Return the earlier of this and another time."""
        return at if self.at is None else min(self.at, at)

    def left(self, now: float) -> float | None:
        """Return the seconds that are left, zero where it has passed; None without limit."""
        return None if self.at is None else max(0.0, self.at - now)

    def header(self, now: float) -> str | None:
        """Return what the next hop is told: milliseconds, at least 1."""
        left = self.left(now)
        return None if left is None else str(max(1, int(left * 1000)))


NEVER: Final = Deadline()
"""The deadline of a client that set none."""
