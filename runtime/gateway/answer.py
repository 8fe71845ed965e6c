"""Pass an answer on, and go on with it elsewhere where it breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Protocol

from runtime.gateway.chat import Chat
from runtime.gateway.continuation.journal import Journal
from runtime.gateway.continuation.progress import Progress
from runtime.gateway.continuation.resume import Tokenized, asked_for_usage, rest
from runtime.gateway.continuation.rewrite import Rewriter
from runtime.gateway.events import EventError, Events
from runtime.gateway.oracle import Oracle
from runtime.gateway.providers.provider import Decoder
from runtime.gateway.routing.failure import Leg
from runtime.gateway.upstream import PeerError, Response, UnreachableError
from runtime.handoff.contract import HandoffError

_LENGTH = "length"


class Tries(Protocol):
    """What is behind an answer: the decoder of the moment, and how to come by another."""

    chat: Chat
    decoder: Decoder
    response: Response
    followed: bool
    oracle: Oracle | None

    async def begin(self, chat: Chat) -> None:
        """Have ``chat`` answered by whoever can; raise ``HandoffError`` or ``PeerError``."""

    async def close(self) -> None:
        """Leave the decoder of the moment."""

    def ended(self) -> None:
        """Note that the decoder of the moment brought the answer to its end."""

    def lost(self) -> None:
        """Note that the decoder of the moment broke off an answer with which nobody can go on."""

    def broke(self, error: UnreachableError, leg: Leg) -> None:
        """Note that the answer broke off; raise ``error`` where nothing can be done about it."""

    async def tokenize(self) -> Tokenized:
        """Return the prompt's token ids; raise ``UnreachableError`` or ``HandoffError``."""


class Answer:
    """Implement ``Response`` over as many responses as it takes."""

    def __init__(self, tries: Tries) -> None:
        self._tries = tries

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._tries.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the response of the moment."""
        return self._tries.response.headers

    async def read(self) -> bytes:
        """Return the whole body, asked for anew where it breaks off: nothing of it has gone out yet."""
        while True:
            try:
                body = await self._tries.response.read()
            except UnreachableError as error:
                await self._tries.close()
                self._tries.broke(error, Leg.DECODE)
                await _begin(self._tries, self._tries.chat, error)
            else:
                if self._tries.oracle:
                    self._tries.oracle.whole(body)
                self._tries.ended()
                return body

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body as it comes, which raises ``UnreachableError`` where it breaks off and nobody can go on."""
        streamed = self.headers.get("Content-Type", "").startswith("text/event-stream")
        return self._followed() if self._tries.followed and streamed else self._unfollowed()

    async def _unfollowed(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._tries.response.chunks():
                yield chunk
        except UnreachableError:
            self._tries.lost()
            raise
        self._tries.ended()

    async def _followed(self) -> AsyncIterator[bytes]:
        journal = Journal(shown=self._tries.chat.body.get("return_token_ids") is True)
        events: AsyncIterator[bytes] = self._tries.response.chunks()
        oracle = self._tries.oracle
        while True:
            try:
                async for chunk in events:
                    if oracle:
                        oracle = oracle.push(chunk)
                    if sent := journal.push(chunk):
                        yield sent
                    if journal.failed:
                        break
                if journal.finished:
                    self._tries.ended()
                    return
                error = UnreachableError("the stream ended before it said so")
            except UnreachableError as broken:
                error = broken
            events = await self._continued(journal, error)

    async def _continued(self, journal: Journal, error: UnreachableError) -> AsyncIterator[bytes]:
        """Return the rest of the stream, from whoever goes on with it; raise ``error`` where nobody can."""
        progress = None if journal.events is None else Progress.read(journal.events)
        journal.cut()
        await self._tries.close()
        if progress is None:
            self._tries.lost()
            raise error
        self._tries.broke(error, Leg.STREAM)
        try:
            prompt = await self._tries.tokenize()
        except (HandoffError, PeerError) as absent:
            raise error from absent
        chat, decoder = self._tries.chat, self._tries.decoder
        limit = decoder.limit(chat, prompt.max_model_len - len(prompt.ids))
        rewriter = Rewriter(progress, prompt_tokens=len(prompt.ids), before=len(progress.ids))
        missing = rest(chat, progress, prompt, limit)
        if missing is None:
            reason = None if progress.finish_reason else _LENGTH
            return _each(rewriter.ending(reason, usage=asked_for_usage(chat) and not progress.counted))
        await _begin(self._tries, missing, error)
        return _rewritten(self._tries.response, rewriter)


async def _begin(tries: Tries, chat: Chat, error: UnreachableError) -> None:
    try:
        await tries.begin(chat)
    except (HandoffError, PeerError) as refused:
        raise error from refused


async def _each(events: Iterable[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event


async def _rewritten(response: Response, rewriter: Rewriter) -> AsyncIterator[bytes]:
    events = Events()
    async for received in response.chunks():
        try:
            written = b"".join(rewriter.event(data) for data in events.push(received))
        except (EventError, ValueError) as error:
            raise UnreachableError(f"its answer is none: {error}") from error
        if written:
            yield written
