"""KV handoff between vLLM servers: the prefill worker's parameters are passed on as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from runtime.gateway import chat as bodies
from runtime.gateway.chat import Chat
from runtime.gateway.decode import decode
from runtime.gateway.phases import Phases
from runtime.gateway.prefill import Prefill
from runtime.gateway.upstream import Client, Response
from runtime.gateway.workers import Pool
from runtime.handoff import contract


class VllmProvider:
    """Prefill at one vLLM worker, decode at another.

    vLLM has no call that gives prefilled blocks back: where the decode worker is never reached, they stay until
    their lease ends.
    """

    def __init__(self, prefill: Prefill, decode_pool: Pool, client: Client, *, decode_key: Callable[[], str]) -> None:
        self._prefill = prefill
        self._decode_pool = decode_pool
        self._client = client
        self._decode_key = decode_key

    @property
    def lack(self) -> str | None:
        """Which stage has no worker."""
        return self._prefill.pool.lack or self._decode_pool.lack

    @asynccontextmanager
    async def answer(self, chat: Chat, phases: Phases) -> AsyncIterator[Response]:
        """Yield the decode worker's answer; see ``Provider``."""
        bodies.require_single_answer(chat)
        # the decode worker is chosen first: without one, there is nothing to prefill for
        with self._decode_pool.borrow() as worker:
            params = await self._prefill.run(chat, phases)
            url = worker.url + contract.CHAT_COMPLETIONS
            body = bodies.with_kv(chat.body, params)
            async with decode(self._client, url, self._decode_key(), chat.request_id, body, phases) as response:
                yield response
