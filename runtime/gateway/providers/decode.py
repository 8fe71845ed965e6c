"""Ask a decode peer for the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.gateway.peers.upstream import (
    SILENCE_SECONDS,
    STALLED_SECONDS,
    Client,
    NotSentError,
    Response,
    UnreachableError,
    headers,
    refusal,
)
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import encode
from runtime.gateway.routing.failure import Leg
from runtime.handoff.contract import Code, HandoffError


async def decode(
    client: Client,
    url: str,
    key: str,
    body: Mapping[str, Any],
    attempt: Attempt,
    *,
    pin: str | None = None,
) -> Response:
    """Return an answer of status 200; raise ``HandoffError`` or ``PeerError``. Its head ends the phase ``decode``.

    Raise ``NotSentError`` where a pinned peer has seen nothing of the request: it may be another run of it by now.
    """
    attempt.leg = Leg.DECODE
    asked = {**body, "return_token_ids": True} if attempt.followed else body
    with attempt.phases.measure("decode"):
        told = headers(key, attempt.name, attempt.deadline)  # here, as the span is told as well
        try:
            return await _ask(client, url, told, encode(asked), pin, followed=attempt.followed)
        except UnreachableError as error:
            if pin and isinstance(error, NotSentError):
                raise
            message = f"the decode endpoint cannot be reached ({error}): try again"
            raise HandoffError(Code.DECODE_UNAVAILABLE, message) from error


async def _ask(
    client: Client, url: str, told: Mapping[str, str], body: bytes, pin: str | None, *, followed: bool
) -> Response:
    pause = STALLED_SECONDS if followed else SILENCE_SECONDS
    exchange = await client.ask("POST", url, headers=told, body=body, pin=pin, pause=pause)
    try:
        await exchange.head()
        if exchange.status != 200:
            raise await refusal(exchange, peer="decode endpoint", failed=Code.DECODE_FAILED)
    except BaseException:
        exchange.leave()
        raise
    return exchange
