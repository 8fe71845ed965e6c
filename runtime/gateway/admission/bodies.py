"""Bound the bytes of all bodies together, so that many large ones cannot exhaust a gateway's memory."""

from __future__ import annotations

from typing import Final

from runtime.gateway.admission.policy import GREED
from runtime.handoff.contract import Code, HandoffError

RETRY_AFTER_SECONDS: Final = 1


class Bodies:
    """Hold how many bytes each tenant's requests brought; ``most`` bounds all.

    As with room to run, a tenant may hold at most ``GREED`` times as many as are free.
    """

    def __init__(self, most: int) -> None:
        self.held = 0
        self._most = most
        self._own: dict[str, int] = {}

    def take(self, tenant: str, size: int) -> None:
        """Count a body; raise ``HandoffError`` (``overloaded``) where it has no room."""
        own = self._own.get(tenant, 0) + size
        if size and own > GREED * (self._most - self.held - size):
            message = f"requests under way hold {self.held} bytes of bodies: try again in {RETRY_AFTER_SECONDS} s"
            raise HandoffError(Code.OVERLOADED, message, retry_after=RETRY_AFTER_SECONDS)
        self.held += size
        self._own[tenant] = own

    def give_back(self, tenant: str, size: int) -> None:
        """Count a body no more."""
        self.held -= size
        if left := self._own.get(tenant, 0) - size:
            self._own[tenant] = left
        else:
            self._own.pop(tenant, None)
