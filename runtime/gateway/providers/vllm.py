"""KV handoff between vLLM servers: the prefill worker's parameters are passed on as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime.gateway.continuation.way import AS_PROMPT, Way
from runtime.gateway.peers.upstream import Client, NotSentError, Response
from runtime.gateway.peers.workers import Pool, Worker
from runtime.gateway.providers.decode import decode
from runtime.gateway.providers.prefill import Prefill
from runtime.gateway.request import chat as bodies
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import Chat
from runtime.gateway.routing.disaggregation import Handoff
from runtime.handoff.contract import COMPLETIONS, Code, HandoffError

_COMPLETION_TOKENS: Final = 16
"""The default of ``max_tokens`` in vLLM's ``CompletionRequest``, as in OpenAI's API; null is none."""

_ALL: Final = frozenset(Handoff)


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmDecoder:
    """Decode at one vLLM worker of ``pool`` what another prefilled, or what it prefills itself.

    vLLM has no call that gives prefilled blocks back: where the decode worker is never reached, they stay until
    their lease ends.
    """

    worker: Worker
    pool: Pool
    prefill: Prefill
    client: Client
    tier: int = 0

    @property
    def name(self) -> str:
        """The worker's run."""
        return self.worker.run

    @property
    def handoffs(self) -> frozenset[Handoff]:
        """Both: it is the same program as a prefill worker."""
        return _ALL

    @property
    def caches(self) -> bool:
        """Yes, vLLM does by default."""
        return True

    @property
    def way(self) -> Way:
        """As the end of a longer prompt."""
        return AS_PROMPT

    def limit(self, chat: Chat, room: int) -> int:
        """Return what the client asks for, else what vLLM gives: to a chat all the room, to a text little."""
        silent = chat.path == COMPLETIONS and "max_tokens" not in chat.body
        return min(bodies.asked_tokens(chat.body) or (_COMPLETION_TOKENS if silent else room), room)

    async def run(self, chat: Chat, attempt: Attempt) -> Response:
        """Return the decode worker's answer; see ``Decoder``."""
        body = chat.body
        if attempt.handoff is Handoff.KV:
            bodies.require_single_answer(chat)
            body = bodies.with_kv(body, await self.prefill.run(chat, attempt))
        url, worker = self.worker.url + chat.path, self.worker
        try:
            return await decode(self.client, url, worker.key, body, attempt, pin=worker.digest)
        except NotSentError as error:
            await self.pool.renew(worker)
            message = f"decode worker {worker} cannot be reached ({error}): try again"
            raise HandoffError(Code.DECODE_UNAVAILABLE, message) from error
