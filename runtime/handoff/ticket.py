"""Sign what the gateway hands to a decode endpoint, and check it there.

A ticket is ``key id.base64url(payload).base64url(HMAC-SHA256 of what stands before)``. It binds one attempt of one
request to one engine, one set of blocks, the digests of their content, one model and one reservation, so that neither
a client nor another endpoint can point a decoder at KV that is not its own. A reservation is used once, so a ticket is.

The key id is derived from the key. Keys rotate in this order: the endpoint accepts the new key beside the old one, the
gateway signs with the new one, and once the last old ticket has expired the endpoint drops the old key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import fields as claims_of
from typing import Any, Final, Self

from runtime.handoff import fields

_canonical: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode  # made once: that takes long


class TicketError(ValueError):
    """Tell why a ticket was refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """State who may read which KV for what.

    ``seal`` is the digest of the worker's ``Seal``: model, life of the worker, content of the blocks.
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
    seal: str
    lease_ms: int
    prefill_gap_ms: int
    expires_at: float

    @classmethod
    def for_params(cls, params: Mapping[str, Any], **claims: Any) -> Self:
        """Bind a ticket to the ``kv_transfer_params`` that a prefill worker returned; ``claims`` are the rest."""
        return cls(
            engine_id=params[fields.REMOTE_ENGINE_ID],
            remote_request_id=params[fields.REMOTE_REQUEST_ID],
            remote_address=f"{params[fields.REMOTE_HOST]}:{params[fields.REMOTE_PORT]}",
            blocks=digest(params[fields.REMOTE_BLOCK_IDS]),
            num_tokens=params[fields.REMOTE_NUM_TOKENS],
            seal=digest(seal_of(params)),
            **claims,
        )

    def covers(self, params: Mapping[str, Any]) -> bool:
        """Tell whether ``params``, of which ``fields.missing`` found nothing, are those this ticket was signed for."""
        own = {name: getattr(self, name) for name in _FREE_CLAIMS}
        return Ticket.for_params(params, **own) == self


_FREE_CLAIMS: Final = (
    "tenant",
    "request_id",
    "attempt",
    "model",
    "reservation_id",
    "lease_ms",
    "prefill_gap_ms",
    "expires_at",
)


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON value in canonical form."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()


def key_id(key: bytes) -> str:
    """Return a key's name, which tells nothing about a key that was drawn at random."""
    return hashlib.sha256(b"tandem ticket key\0" + key).hexdigest()[:8]


def sign(ticket: Ticket, key: bytes) -> str:
    """Return the ticket's wire form."""
    claims = {name: getattr(ticket, name) for name in _CLAIMS}  # asdict would copy each deeply
    signed = f"{key_id(key)}.{_encode(_canonical(claims).encode())}"
    return f"{signed}.{_encode(_mac(signed, key))}"


def verify(token: object, keys: Iterable[bytes], *, now: float) -> Ticket:
    """Return the ticket of a wire form; raise ``TicketError`` if no key signed it, or if it is malformed or expired."""
    signed, payload, mac = _parts(token)
    key = {key_id(key): key for key in keys}.get(signed.partition(".")[0])
    if key is None:
        raise TicketError("ticket has an unknown key id")
    if not hmac.compare_digest(mac, _mac(signed, key)):
        raise TicketError("ticket has a wrong signature")
    try:
        ticket = Ticket(**json.loads(payload))
    except (TypeError, ValueError) as error:
        raise TicketError("ticket is of another version") from error
    if not _well_typed(ticket):
        raise TicketError("ticket is of another version")
    if not ticket.expires_at > now:  # so that a NaN has expired, too
        raise TicketError("ticket has expired")
    return ticket


def seal_of(params: Mapping[str, Any]) -> Any:
    """Return what the worker says under ``tandem.seal``, None where it is a stock vLLM."""
    ours = params.get(fields.TANDEM)
    return ours.get(fields.SEAL) if isinstance(ours, Mapping) else None


def _parts(token: object) -> tuple[str, bytes, bytes]:
    """Return what was signed, the payload in it, and the signature."""
    try:
        name, *encoded = str(token).split(".")
        payload, mac = (_decode(part) for part in encoded)
    except ValueError as error:
        raise TicketError("ticket is malformed") from error
    # base64 spells the same bytes in several ways; only our own spelling counts
    signed = f"{name}.{_encode(payload)}"
    if f"{signed}.{_encode(mac)}" != token:
        raise TicketError("ticket is malformed")
    return signed, payload, mac


_KINDS: Final[Mapping[object, tuple[type, ...]]] = {"str": (str,), "int": (int,), "float": (int, float)}
_CLAIMS: Final = {claim.name: _KINDS[claim.type] for claim in claims_of(Ticket)}
"""What a ticket states, with the types of each."""


def _well_typed(ticket: Ticket) -> bool:
    # type() rather than isinstance(): a bool is no number here
    return all(type(getattr(ticket, name)) in kinds for name, kinds in _CLAIMS.items())


def _mac(signed: str, key: bytes) -> bytes:
    return hmac.digest(key, signed.encode(), "sha256")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
