"""Text handoff: an OpenAI-compatible endpoint prefills and decodes by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from runtime.gateway import chat as bodies
from runtime.gateway.chat import Chat
from runtime.gateway.config import OpenAIConfig
from runtime.gateway.decode import decode
from runtime.gateway.phases import Phases
from runtime.gateway.upstream import Client, Response


class OpenAIProvider:
    """Pass requests on under the endpoint's name for the model; ``key`` returns what it asks for at this moment."""

    def __init__(self, config: OpenAIConfig, client: Client, *, key: Callable[[], str]) -> None:
        self._config = config
        self._key = key
        self._client = client

    @property
    def lack(self) -> str | None:
        """Nothing: there is nobody to discover."""
        return None

    @asynccontextmanager
    async def answer(self, chat: Chat, phases: Phases) -> AsyncIterator[Response]:
        """Yield the endpoint's answer; see ``Provider``."""
        body = bodies.renamed(chat.body, self._config.model)
        url = self._config.endpoint + chat.path
        async with decode(self._client, url, self._key(), chat.request_id, body, phases) as response:
            yield response
