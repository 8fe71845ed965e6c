"""Ask the decode endpoint how much of its KV memory is reserved, off the request path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

from runtime.gateway.peers.upstream import Client, UnreachableError, headers
from runtime.gateway.telemetry import log
from runtime.handoff import contract

INTERVAL_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 1.0
"""How soon an endpoint is asked again that did not say, so that one which starts beside the gateway is soon known."""
_SILENCE_SECONDS: Final = 5.0


async def watch(client: Client, endpoint: str, filled: Callable[[float], None], *, key: Callable[[], str]) -> None:
    """Tell ``filled`` the share every ten seconds; an endpoint that does not say is logged, and nothing is told."""
    failure = None
    while True:
        try:
            filled(share(await _ask(client, endpoint, key())))
            failure = None
        except (UnreachableError, ValueError) as error:
            said = f"{type(error).__name__}: {error}"[:300]
            if said != failure:  # once, not at each attempt
                log.write("reservation_fill_unknown", error=said)
            failure = said
        await asyncio.sleep(AGAIN_SECONDS if failure else INTERVAL_SECONDS)


async def _ask(client: Client, endpoint: str, key: str) -> bytes:
    url = endpoint + contract.CAPABILITIES
    sent = headers(key, "reservation-fill")
    with await client.ask("GET", url, headers=sent, silence=_SILENCE_SECONDS) as response:
        await response.head()
        if response.status != 200:
            raise UnreachableError(f"{contract.CAPABILITIES} was answered with status {response.status}")
        return await response.read()


def share(capabilities: bytes) -> float:
    """Return ``reservation_fill`` of an endpoint's capabilities; raise ``ValueError`` where it is no share."""
    told = json.loads(capabilities)
    fill = told.get(contract.RESERVATION_FILL) if isinstance(told, dict) else None
    if not isinstance(fill, int | float) or isinstance(fill, bool) or not 0 <= fill <= 1:
        raise ValueError(f"{contract.RESERVATION_FILL} is {fill!r:.80}: a number of 0 to 1 is needed")
    return float(fill)
