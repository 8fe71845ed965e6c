"""Nothing but health and metrics is open to those without the key."""

from __future__ import annotations

from runtime.handoff import contract
from runtime.handoff.contract import Code
from tandem.conformance.parties import Parties


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless each call without the key, or with another, is refused."""
    calls = [("POST", contract.RESERVATIONS), ("POST", contract.CHAT_COMPLETIONS), ("POST", contract.ABORT)]
    calls += [("GET", contract.CAPABILITIES), ("GET", contract.MODELS), ("DELETE", f"{contract.RESERVATIONS}/x")]
    for method, path in calls:
        for key in (None, "another key"):
            (await parties.ask(method, path, {}, key=key)).require_refusal(Code.UNAUTHORIZED)
    for path in (contract.HEALTH, contract.METRICS):
        (await parties.ask("GET", path, key=None)).require_status(200)
