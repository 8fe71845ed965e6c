"""Ask a decode peer for the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from runtime.gateway.attempt import Attempt
from runtime.gateway.chat import encode
from runtime.gateway.routing.failure import Leg
from runtime.gateway.upstream import Client, NotSentError, Response, UnreachableError, headers, refusal
from runtime.handoff.contract import Code, HandoffError


@asynccontextmanager
async def decode(
    client: Client,
    url: str,
    key: str,
    body: Mapping[str, Any],
    attempt: Attempt,
    *,
    pin: str | None = None,
) -> AsyncIterator[Response]:
    """Yield an answer of status 200; raise ``HandoffError`` or ``PeerError``. Its head ends the phase ``decode``.

    Raise ``NotSentError`` where a pinned peer has seen nothing of the request: it may be another run of it by now.
    """
    attempt.leg = Leg.DECODE
    asked = {**body, "return_token_ids": True} if attempt.followed else body
    async with AsyncExitStack() as stack:
        with attempt.phases.measure("decode"):
            told = headers(key, attempt.name, attempt.deadline)  # here, as the span is told as well
            try:
                sent = client.send("POST", url, headers=told, body=encode(asked), pin=pin)
                response = await stack.enter_async_context(sent)
                if response.status != 200:
                    raise await refusal(response, peer="decode endpoint", failed=Code.DECODE_FAILED)
            except UnreachableError as error:
                if pin and isinstance(error, NotSentError):
                    raise
                message = f"the decode endpoint cannot be reached ({error}): try again"
                raise HandoffError(Code.DECODE_UNAVAILABLE, message) from error
        yield response
