"""Read many answers at once by real clients, which go on with a stream that broke between them and a gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from openai import APIStatusError, AsyncOpenAI, AsyncStream, DefaultAsyncHttpxClient, OpenAIError
from openai.types.chat import ChatCompletionChunk

from runtime.handoff.fields import RECEIVED
from tandem.rehearsal.clients.prompts import Prompt, PromptError
from tandem.rehearsal.tasks.service import Service

_MOST: Final = 20
"""How often a client asks again at most."""
_APART_SECONDS: Final = 0.05
"""Between the first requests: one machine of two cores is to play them all."""
_PAUSE_SECONDS: Final = 1.0
_TIMEOUT_SECONDS: Final = 300.0
_WORTH_TRYING: Final = frozenset({408, 429})


@dataclass(slots=True)
class Reading:
    """Hold what one client has, ``ids`` of all tokens whose text came, and why it asked again.

    ``broke`` tells of streams that had begun, ``refused`` of requests that got no stream: those, clients repeat anyway.
    """

    prompt: Prompt
    text: str = ""
    ids: list[int] = field(default_factory=list)
    broke: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    finished: bool = False
    _waiting: list[int] = field(default_factory=list)

    def take(self, chunk: ChatCompletionChunk) -> int:
        """Add a chunk; return how many tokens it completed."""
        before = len(self.ids)
        for choice in chunk.choices:
            self._waiting += getattr(choice, "token_ids", None) or []
            self.finished = self.finished or choice.finish_reason is not None
            if choice.delta.content or self.finished:  # a token's text may come with a later one
                self.text += choice.delta.content or ""
                self.ids += self._waiting
                self._waiting.clear()
        return len(self.ids) - before

    @property
    def asked(self) -> int:
        """How often it was asked for before."""
        return len(self.broke) + len(self.refused)

    def again(self, reasons: list[str], why: str) -> None:
        """Note why it is asked for again; raise ``PromptError`` where it was too often."""
        reasons.append(why)
        self._waiting.clear()
        if self.asked > _MOST:
            raise PromptError(f"prompt {self.prompt.name} was not answered: {why}")


class Readers:
    """Read from all gateways of a service alike; ``then`` is called once when ``after`` tokens have arrived in all."""

    def __init__(self, service: Service, *, after: int, then: Callable[[], None]) -> None:
        self._service = service
        self._left = after
        self._then = then

    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        """Return what each client read; raise ``PromptError`` where one got no answer."""
        return asyncio.run(self._all(prompts))

    async def _all(self, prompts: Sequence[Prompt]) -> list[Reading]:
        async with openai(self._service) as client:
            return await asyncio.gather(*(self._one(client, *each) for each in enumerate(prompts)))

    async def _one(self, client: AsyncOpenAI, number: int, prompt: Prompt) -> Reading:
        reading = Reading(prompt)
        await asyncio.sleep(number * _APART_SECONDS)
        while True:
            urls = self._service.urls
            # a load balancer spreads connections, and a new one comes to another task
            url = urls[(number + reading.asked) % len(urls)]
            await self._stream(client.with_options(base_url=f"{url}/v1"), reading)
            if reading.finished:
                return reading
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _stream(self, client: AsyncOpenAI, reading: Reading) -> None:
        """Read until the end, or note why it did not come to that."""
        try:
            stream = await ask(client, self._service.model, reading)
        except OpenAIError as error:
            if isinstance(error, APIStatusError) and not _worth_trying(error.status_code):
                raise PromptError(f"prompt {reading.prompt.name} was refused: {error}") from error
            reading.again(reading.refused, f"{type(error).__name__}: {error}")
            return
        try:
            async for chunk in stream:
                self._arrived(reading.take(chunk))
        except (OpenAIError, json.JSONDecodeError) as error:  # the client does not wrap a chunk that is no JSON
            reading.again(reading.broke, f"{type(error).__name__}: {error}")
        else:
            if not reading.finished:
                reading.again(reading.broke, "the stream ended without a finish reason")

    def _arrived(self, tokens: int) -> None:
        waiting, self._left = self._left > 0, self._left - tokens
        if waiting and self._left <= 0:
            self._then()


def openai(service: Service) -> AsyncOpenAI:
    """Return a client that repeats nothing by itself, yet without the URL of a gateway."""
    # no proxy leads to an address of the rehearsal's own; and like a load balancer, it verifies no target
    http = DefaultAsyncHttpxClient(trust_env=False, verify=False)
    return AsyncOpenAI(
        api_key=service.key, base_url="unused", timeout=_TIMEOUT_SECONDS, max_retries=0, http_client=http
    )


async def ask(client: AsyncOpenAI, model: str, reading: Reading) -> AsyncStream[ChatCompletionChunk]:
    """Return the stream of what follows on what was read; raise ``OpenAIError``."""
    return await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": reading.prompt.text}],
        max_tokens=reading.prompt.max_tokens,
        temperature=0,
        stream=True,
        extra_body={"return_token_ids": True, RECEIVED: reading.ids},
    )


def _worth_trying(status: int) -> bool:
    return status >= 500 or status in _WORTH_TRYING
