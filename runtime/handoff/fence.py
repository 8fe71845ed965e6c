"""Guard one attempt to import KV: the reader's state machine, without I/O or clock.

    handshake ──► transfer ──► verify ──► decode      each arrow is a check that raises ``HandoffError``
        └────────────┴────────────┴──────────┴──► over: tell the worker, free the memory, each once

Whoever drives it tells it what happened and does what it answers. Nothing is decoded before ``own`` has returned.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from runtime.handoff.acceptance import Accepted, Life
from runtime.handoff.contract import Code, HandoffError, Phase
from runtime.handoff.reservation import Reservation

CLOCK_DRIFT: Final = 1e-3
"""How much faster the worker's clock may run than ours; quartz keeps within 1e-4, a slewed clock within 5e-4."""


class Action(StrEnum):
    """Name what is to be done now."""

    NOTIFY = "notify"
    """Tell the worker that nobody needs the blocks any more."""
    FREE = "free"
    """Finish the reservation: nothing can write into its memory any more."""


Actions = frozenset[Action]
NOTHING: Final[Actions] = frozenset()


class Fence:
    """Let KV through only if it is its worker's own, whole, and read while the worker held it.

    Times are seconds of the monotonic clock that granted the reservation.
    """

    def __init__(self, accepted: Accepted, reservation: Reservation) -> None:
        self.phase = Phase.HANDSHAKE
        self._life = accepted.life
        claims = accepted.ticket
        # the lease began after the prefill request was sent, thus after the reservation was granted plus the gap
        held = claims.prefill_gap_ms + claims.lease_ms
        self._deadline = reservation.granted_at + held / 1000 * (1 - CLOCK_DRIFT)
        self._writing = False
        self._notified = False
        self._over = False
        self._freed = False

    def shaken(self, found: Life) -> None:
        """Check whom the handshake reached; raise ``HandoffError`` (``kv_foreign``)."""
        self._expect(Phase.HANDSHAKE)
        self._life.check(found)
        self.phase = Phase.TRANSFER

    def reading(self, *, now: float) -> float:
        """Note that the READ starts, and return how many seconds it may take; raise ``HandoffError`` (``kv_stale``)."""
        self._expect(Phase.TRANSFER)
        self._check_lease(now)
        self._writing = True
        return self._deadline - now

    def read(self, *, now: float) -> None:
        """Note that the READ has ended; raise ``HandoffError`` (``kv_stale``) if the worker may have freed blocks."""
        self._expect(Phase.TRANSFER)
        self._writing = False
        self._check_lease(now)
        self.phase = Phase.VERIFY

    def own(self) -> Actions:
        """Note that the KV's content was verified: from now on it is the reader's own."""
        self._expect(Phase.VERIFY)
        self.phase = Phase.DECODE
        return self._notify()

    def end(self) -> Actions:
        """End the attempt, in whatever phase and for whatever reason; again, it does nothing."""
        if self._over:
            return NOTHING
        self._over = True
        return self._notify() | self._free()

    def settled(self) -> Actions:
        """Note that a READ that was given up writes no more: until then its memory belongs to nobody else."""
        self._writing = False
        return self._free()

    def _expect(self, phase: Phase) -> None:
        if self._over or self.phase is not phase:
            raise RuntimeError(f"attempt is in phase {'over' if self._over else self.phase}, not in {phase}")

    def _check_lease(self, now: float) -> None:
        late = now - self._deadline
        if late >= 0:
            raise HandoffError(
                Code.KV_STALE, f"the lease may have ended {late:.3f} s ago, with the KV not yet read: prefill again"
            )

    def _notify(self) -> Actions:
        if self._notified:
            return NOTHING
        self._notified = True
        return frozenset({Action.NOTIFY})

    def _free(self) -> Actions:
        if not self._over or self._writing or self._freed:
            return NOTHING
        self._freed = True
        return frozenset({Action.FREE})
