"""Text handoff: an OpenAI-compatible endpoint prefills and decodes by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.gateway.peers.upstream import Client, Response
from runtime.gateway.providers.decode import decode
from runtime.gateway.request import chat as bodies
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import Chat
from runtime.gateway.routing.disaggregation import Handoff


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAIDecoder:
    """Pass requests on under the endpoint's name for the model; ``key`` returns what it asks for at this moment."""

    url: str
    model: str
    client: Client
    key: Callable[[], str]
    tier: int = 0

    @property
    def name(self) -> str:
        """Its address."""
        return self.url

    @property
    def handoffs(self) -> frozenset[Handoff]:
        """Text alone."""
        return frozenset({Handoff.TEXT})

    @property
    def caches(self) -> bool:
        """Not that anybody could tell."""
        return False

    @property
    def way(self) -> None:
        """None: another provider's endpoint does not tell the ids of its tokens."""
        return None

    def limit(self, chat: Chat, room: int) -> int:
        """Return the room: a silent client gets what the endpoint gives."""
        return min(bodies.asked_tokens(chat.body) or room, room)

    async def run(self, chat: Chat, attempt: Attempt) -> Response:
        """Return the endpoint's answer; see ``Decoder``."""
        body = bodies.renamed(chat.body, self.model)
        return await decode(self.client, self.url + chat.path, self.key(), body, attempt)
