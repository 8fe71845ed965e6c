"""Check what a decode request says of its KV, before anything is spent on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.handoff import fields, ticket
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.notification import ReadDone
from runtime.handoff.seal import Seal
from runtime.handoff.ticket import Ticket, TicketError


@dataclass(frozen=True, slots=True)
class Life:
    """Name one life of a worker's KV memory. ``generation`` is empty where a stock vLLM tells none."""

    engine_id: str
    generation: str

    def check(self, found: Life) -> None:
        """Raise ``HandoffError`` (``kv_foreign``) where a handshake found another life than this."""
        if found.engine_id != self.engine_id:
            raise HandoffError(
                Code.KV_FOREIGN,
                f"engine {found.engine_id[:80]!r} answered, the KV is of {self.engine_id!r}: prefill again",
            )
        if "" not in (self.generation, found.generation) and found.generation != self.generation:
            raise HandoffError(Code.KV_FOREIGN, "the worker has restarted since it prefilled: prefill again")


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """Hold ``kv_transfer_params`` that a valid ticket covers; ``seal`` is None where the worker gave none."""

    params: Mapping[str, Any]
    ticket: Ticket
    seal: Seal | None

    @property
    def life(self) -> Life:
        """Whose KV it is."""
        return Life(self.ticket.engine_id, self.seal.generation if self.seal else "")

    @property
    def done(self) -> bytes:
        """What tells the worker that its one reader needs the blocks no more."""
        return ReadDone(self.ticket.remote_request_id, readers=1).message()


def accept(params: object, *, keys: Iterable[bytes], model: str, model_digest: str, now: float) -> Accepted:
    """Return what a decode may be made from; ``now`` is in Unix seconds.

    Raises ``HandoffError``, in this order: ``ticket_invalid``, ``kv_incomplete`` on missing parameters, ``kv_foreign``
    on parameters or a model that the ticket does not cover, ``kv_incomplete`` on an unusable seal, ``kv_foreign`` on
    other weights.
    """
    given = params if isinstance(params, Mapping) else {}
    claims = _verified(given, keys, now)
    missing = fields.missing(given)
    if missing or given[fields.REMOTE_NUM_TOKENS] < 1:
        names = ", ".join(missing or [fields.REMOTE_NUM_TOKENS])
        raise HandoffError(Code.KV_INCOMPLETE, f"{fields.KV_TRANSFER_PARAMS} lack {names}: pass on the worker's own")
    if not claims.covers(given) or claims.model != model:
        raise HandoffError(Code.KV_FOREIGN, "the ticket was signed for other KV, or for another model: prefill again")
    seal = Seal.from_params(ticket.seal_of(given), num_tokens=claims.num_tokens)
    if seal and seal.model_digest not in ("", model_digest):
        raise HandoffError(
            Code.KV_FOREIGN, f"the KV is of model {seal.model_digest[:80]}, decoded is {model_digest}: redeploy one"
        )
    return Accepted(params=given, ticket=claims, seal=seal)


def _verified(given: Mapping[str, Any], keys: Iterable[bytes], now: float) -> Ticket:
    ours = given.get(fields.TANDEM)
    token = ours.get(fields.TICKET) if isinstance(ours, Mapping) else None
    try:
        return ticket.verify(token, keys, now=now)
    except TicketError as error:
        name = f"{fields.KV_TRANSFER_PARAMS}.{fields.TANDEM}.{fields.TICKET}"
        raise HandoffError(Code.TICKET_INVALID, f"{name}: {error}: reserve and prefill again") from error
