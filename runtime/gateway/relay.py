"""The shape of what passes an answer on to a client, in the words of whichever API was called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from runtime.gateway.guard import Call
from runtime.gateway.time_limit import TimeLimit
from runtime.gateway.upstream import Response

Relayed = TypeVar("Relayed")
Relay = Callable[[Response, Call, TimeLimit], Awaitable[Relayed]]
"""Pass an answer on; the limit is there for those who must tell of its end themselves, since they have begun."""


class Ask(Protocol):
    """Have a chat completion answered, and the answer relayed."""

    async def __call__(self, body: Mapping[str, Any], call: Call, relay: Relay[Relayed]) -> Relayed:
        """Return what ``relay`` does; raise ``HandoffError`` or ``PeerError``."""
