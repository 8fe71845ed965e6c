"""Have real clients ask without pause, streams and short requests, and keep what became of each request."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from openai import AsyncOpenAI, OpenAIError

from tandem.rehearsal.clients.prompts import Prompt
from tandem.rehearsal.clients.readers import Reading, ask, openai
from tandem.rehearsal.tasks.service import Service

STREAMS: Final = 6
"""Clients that stream, as many as keep two cores busy; each asks again as soon as it was answered."""
SHORT: Final = 2
"""Clients that take an answer whole."""


@dataclass(slots=True)
class Asked:
    """Hold one request, by the number of its prompt; ``lost`` tells why it failed."""

    prompt: int
    stream: bool
    began: float
    text: str = ""
    ids: list[int] = field(default_factory=list)
    lost: str | None = None
    ended: float = 0.0


class Load:
    """Ask the gateways that a load balancer would send to at the moment, as long as the context lasts.

    No client repeats anything: what one gateway, once, does not answer to its end is lost.
    """

    def __init__(self, service: Service, prompts: Sequence[Prompt]) -> None:
        self.asked: list[Asked] = []
        self._service, self._prompts = service, prompts
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")
        self._number = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def wrong(self, alone: Sequence[dict[str, Any]]) -> list[str]:
        """Return what was lost, and answers that differ from what a single process wrote to the same prompt."""
        found = []
        for each in self.asked:
            reference = alone[each.prompt]
            same = each.text == reference["text"] and (not each.stream or each.ids == reference["token_ids"])
            kind = "stream" if each.stream else "short request"
            if each.lost or not same:
                found.append(f"a {kind} {each.lost or 'differs from a single process'}")
        return found

    async def _run(self) -> None:
        async with openai(self._service) as client:
            clients = [True] * STREAMS + [False] * SHORT
            await asyncio.gather(*(self._client(client, streams) for streams in clients))

    async def _client(self, client: AsyncOpenAI, streams: bool) -> None:
        while not self._over.is_set():
            self._number += 1
            one = Asked(self._number % len(self._prompts), streams, time.monotonic())
            self.asked.append(one)
            urls = self._service.urls
            asking = client.with_options(base_url=f"{urls[self._number % len(urls)]}/v1")
            try:
                await (self._stream if streams else self._whole)(asking, one)
            except (OpenAIError, json.JSONDecodeError) as error:  # a chunk that is no JSON comes as it is
                one.lost = f"failed: {type(error).__name__}: {error}"
            one.ended = time.monotonic()

    async def _stream(self, client: AsyncOpenAI, one: Asked) -> None:
        reading = Reading(self._prompts[one.prompt])
        async for chunk in await ask(client, self._service.model, reading):
            reading.take(chunk)
        one.text, one.ids = reading.text, reading.ids
        one.lost = None if reading.finished else "ended without a finish reason"

    async def _whole(self, client: AsyncOpenAI, one: Asked) -> None:
        prompt = self._prompts[one.prompt]
        answer = await client.chat.completions.create(
            model=self._service.model,
            messages=[{"role": "user", "content": prompt.text}],
            max_tokens=prompt.max_tokens,
            temperature=0,
        )
        one.text = answer.choices[0].message.content or ""
