"""Sign what the gateway hands to a decode endpoint, and check it there.

A ticket is ``base64url(payload).base64url(HMAC-SHA256)``. It binds one attempt of one request to one engine, one set
of blocks, one model and one reservation, so that neither a client nor another endpoint can point a decoder at KV that
is not its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from runtime.handoff import fields


class TicketError(ValueError):
    """Tell why a ticket was refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """State who may read which KV for what.

    ``lease_ms`` is the prefill worker's KV lease, ``prefill_gap_ms`` the time the gateway let pass between receiving
    the reservation and sending the prefill request: together they let the reader bound the lease on its own clock.
    ``expires_at`` is in Unix seconds.
    """

    tenant: str
    request_id: str
    attempt: int
    model: str
    reservation_id: str
    engine_id: str
    remote_request_id: str
    remote_address: str
    blocks: str
    num_tokens: int
    lease_ms: int
    prefill_gap_ms: int
    expires_at: float

    @classmethod
    def for_params(cls, params: Mapping[str, Any], **claims: Any) -> Self:
        """Bind a ticket to the ``kv_transfer_params`` that a prefill worker returned; ``claims`` are the other fields."""
        return cls(
            engine_id=params[fields.REMOTE_ENGINE_ID],
            remote_request_id=params[fields.REMOTE_REQUEST_ID],
            remote_address=f"{params[fields.REMOTE_HOST]}:{params[fields.REMOTE_PORT]}",
            blocks=digest(params[fields.REMOTE_BLOCK_IDS]),
            num_tokens=params[fields.REMOTE_NUM_TOKENS],
            **claims,
        )

    def covers(self, params: Mapping[str, Any]) -> bool:
        """Tell whether ``params`` are the very ones this ticket was signed for."""
        claims = asdict(self)
        own = {name: claims[name] for name in _FREE_CLAIMS}
        return Ticket.for_params(params, **own) == self


_FREE_CLAIMS = (
    "tenant",
    "request_id",
    "attempt",
    "model",
    "reservation_id",
    "lease_ms",
    "prefill_gap_ms",
    "expires_at",
)


def digest(block_ids: object) -> str:
    """Return the SHA-256 of a block id list in canonical JSON."""
    return hashlib.sha256(json.dumps(block_ids, separators=(",", ":")).encode()).hexdigest()


def sign(ticket: Ticket, key: bytes) -> str:
    """Return the ticket's wire form."""
    payload = json.dumps(asdict(ticket), separators=(",", ":"), sort_keys=True).encode()
    return f"{_encode(payload)}.{_encode(_mac(payload, key))}"


def verify(token: object, key: bytes, *, now: float) -> Ticket:
    """Return the ticket of a wire form; raise ``TicketError`` if it is malformed, forged or expired."""
    try:
        payload, mac = (_decode(part) for part in str(token).split("."))
    except ValueError as error:
        raise TicketError("ticket is malformed") from error
    if not hmac.compare_digest(mac, _mac(payload, key)):
        raise TicketError("ticket has a wrong signature")
    try:
        ticket = Ticket(**json.loads(payload))
    except (TypeError, ValueError) as error:
        raise TicketError("ticket is of another version") from error
    if ticket.expires_at <= now:
        raise TicketError("ticket has expired")
    return ticket


def _mac(payload: bytes, key: bytes) -> bytes:
    return hmac.new(key, payload, hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
