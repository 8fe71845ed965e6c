"""KV handoff between vLLM servers: the prefill worker's parameters are passed on as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from runtime.gateway import chat as bodies
from runtime.gateway.chat import Chat
from runtime.gateway.decode import decode
from runtime.gateway.phases import Phases
from runtime.gateway.prefill import Prefill
from runtime.gateway.upstream import Client, NotSentError, Response
from runtime.gateway.workers import RETRIES, Pool, Worker
from runtime.handoff.contract import Code, HandoffError


class VllmProvider:
    """Prefill at one vLLM worker, decode at another.

    vLLM has no call that gives prefilled blocks back: where the decode worker is never reached, they stay until
    their lease ends.
    """

    def __init__(self, prefill: Prefill, decode_pool: Pool, client: Client) -> None:
        self._prefill = prefill
        self._decode_pool = decode_pool
        self._client = client

    @property
    def lack(self) -> str | None:
        """Which stage has no worker."""
        return self._prefill.pool.lack or self._decode_pool.lack

    @asynccontextmanager
    async def answer(self, chat: Chat, phases: Phases) -> AsyncIterator[Response]:
        """Yield the decode worker's answer; see ``Provider``."""
        bodies.require_single_answer(chat)
        async with AsyncExitStack() as stack:
            # the decode worker is chosen first: without one, there is nothing to prefill for
            worker = stack.enter_context(self._decode_pool.borrow())
            params = await self._prefill.run(chat, phases)
            for last in (False,) * RETRIES + (True,):
                try:
                    response = await stack.enter_async_context(self._decode(worker, chat, params, phases))
                    break
                except NotSentError as error:
                    if last:
                        message = f"decode worker {worker} cannot be reached ({error}): try again"
                        raise HandoffError(Code.DECODE_UNAVAILABLE, message) from error
                await self._decode_pool.renew(worker)
                worker = stack.enter_context(self._decode_pool.borrow())
            yield response

    def _decode(
        self, worker: Worker, chat: Chat, params: Mapping[str, Any], phases: Phases
    ) -> AbstractAsyncContextManager[Response]:
        url, body = worker.url + chat.path, bodies.with_kv(chat.body, params)
        return decode(self._client, url, worker.key, chat.request_id, body, phases, pin=worker.digest)
