"""Pass an answer on, and go on with it elsewhere where it breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from time import time
from types import MappingProxyType
from typing import Protocol, Self

from runtime.gateway.chat import Chat
from runtime.gateway.continuation.journal import Journal
from runtime.gateway.continuation.progress import Progress
from runtime.gateway.continuation.resume import Tokenized, asked_for_usage, rest
from runtime.gateway.continuation.rewrite import Rewriter
from runtime.gateway.events import EventError, Events
from runtime.gateway.oracle import Oracle
from runtime.gateway.routing.failure import Leg
from runtime.gateway.upstream import PeerError, Response, UnreachableError
from runtime.handoff.contract import Code, HandoffError

_LENGTH = "length"


class Tries(Protocol):
    """What is behind an answer: the decoder of the moment, and how to come by another."""

    chat: Chat
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

    def limit(self, room: int) -> int:
        """Return how many tokens the answer may have where the context has ``room`` for so many."""

    async def tokenize(self) -> Tokenized:
        """Return the prompt's token ids; raise ``UnreachableError`` or ``HandoffError``."""


class NotAsked:
    """Be the response behind a stream of which nobody has been asked for anything."""

    status = 200
    headers: Mapping[str, str] = MappingProxyType({"Content-Type": "text/event-stream"})

    async def read(self) -> bytes:
        """Return nothing."""
        return b""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield nothing."""
        return
        yield b""


class Answer:
    """Implement ``Response`` over as many responses as it takes."""

    def __init__(self, tries: Tries, begun: AsyncIterator[bytes] | None = None) -> None:
        self._tries = tries
        self._begun = begun

    @classmethod
    async def resumed(cls, tries: Tries) -> Self:
        """Return what follows the tokens that the client received; raise ``HandoffError`` or ``PeerError``."""
        chat = tries.chat
        head = {"id": f"chatcmpl-{chat.request_id}", "created": int(time()), "model": chat.body["model"]}
        try:
            return cls(tries, await _remainder(tries, Progress(head, list(chat.received), spoken=True)))
        except UnreachableError as error:
            message = f"no worker tokenized the prompt ({error}): try again"
            raise HandoffError(Code.PREFILL_UNAVAILABLE, message) from error

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
        if self._begun:
            return self._followed(self._begun)
        streamed = self.headers.get("Content-Type", "").startswith("text/event-stream")
        if self._tries.followed and streamed:
            return self._followed(self._tries.response.chunks())
        return self._unfollowed()

    async def _unfollowed(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._tries.response.chunks():
                yield chunk
        except UnreachableError:
            self._tries.lost()
            raise
        self._tries.ended()

    async def _followed(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        journal = Journal(shown=self._tries.chat.body.get("return_token_ids") is True)
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
        received = self._tries.chat.received
        progress = None if journal.events is None else Progress.read(journal.events, received)
        journal.cut()
        await self._tries.close()
        if progress is None:
            self._tries.lost()
            raise error
        self._tries.broke(error, Leg.STREAM)
        try:
            return await _remainder(self._tries, progress)
        except (HandoffError, PeerError) as refused:
            raise error from refused


async def _remainder(tries: Tries, progress: Progress) -> AsyncIterator[bytes]:
    """Return the events after ``progress``; raise ``UnreachableError`` where nobody tokenizes, or as ``begin`` does."""
    prompt, chat = await tries.tokenize(), tries.chat
    rewriter = Rewriter(progress, prompt_tokens=len(prompt.ids), before=len(progress.ids))
    missing = rest(chat, progress, prompt, tries.limit(prompt.max_model_len - len(prompt.ids)))
    if missing is None:
        reason = None if progress.finish_reason else _LENGTH
        return _each(rewriter.ending(reason, usage=asked_for_usage(chat) and not progress.counted))
    await tries.begin(missing)
    return _rewritten(tries.response, rewriter)


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
