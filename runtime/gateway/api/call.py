"""A tenant's request, and the shape of what has it answered, in the words of whichever API was called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from runtime.gateway.access.tenants import Tenant
from runtime.gateway.api.time_limit import TimeLimit
from runtime.gateway.http.message import Request
from runtime.gateway.peers.upstream import Response
from runtime.gateway.telemetry.record import Record


class Call(msgspec.Struct):
    """Hold a tenant's request, and what is logged of it."""

    request: Request
    record: Record
    tenant: Tenant


Relayed = TypeVar("Relayed")
Relay = Callable[[Response, Call, TimeLimit], Awaitable[Relayed]]
"""Pass an answer on; the limit is there for those who must tell of its end themselves, since they have begun."""


class Ask(Protocol):
    """Have a chat completion answered, and the answer passed on."""

    async def __call__(self, body: Mapping[str, Any], call: Call, passed_on: Relay[Relayed], /) -> Relayed:
        """Return what ``passed_on`` does; raise ``HandoffError`` or ``PeerError``."""
