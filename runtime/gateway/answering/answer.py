"""Pass an answer on, and go on with it elsewhere where it breaks."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from types import MappingProxyType
from typing import Final, Protocol

from runtime.gateway.continuation.journal import Journal
from runtime.gateway.continuation.parts import Ending, Parts, Rewritten
from runtime.gateway.continuation.progress import Progress
from runtime.gateway.continuation.resume import Tokenized, asked_for_usage
from runtime.gateway.continuation.rewrite import Rewriter
from runtime.gateway.continuation.way import Way
from runtime.gateway.peers.upstream import PeerError, Response, UnreachableError
from runtime.gateway.request.chat import Chat
from runtime.gateway.routing.failure import Leg
from runtime.gateway.telemetry.oracle import Oracle
from runtime.handoff.contract import CHAT_COMPLETIONS, Code, HandoffError

_LENGTH = "length"
_EVENTS = "text/event-stream"


class Tries(Protocol):
    """What is behind an answer: the decoder of the moment, and how to come by another."""

    chat: Chat
    response: Response
    followed: bool
    oracle: Oracle | None

    @property
    def way(self) -> Way:
        """How the decoder of the moment has an answer gone on with."""

    async def begin(self, chat: Chat) -> None:
        """Have ``chat`` answered by whoever can; raise ``HandoffError`` or ``PeerError``."""

    def close(self) -> None:
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
    headers: Mapping[str, str] = MappingProxyType({"content-type": _EVENTS})

    async def read(self) -> bytes:
        """Return nothing."""
        return b""

    async def take(self) -> bytes:
        """Return nothing."""
        return b""

    def leave(self) -> None:
        """Free nothing."""


NOT_ASKED: Final = NotAsked()


def answered(tries: Tries) -> Response:
    """Return the answer of whoever has begun to give it, and its rest from others where it breaks."""
    if tries.followed and tries.response.headers.get("content-type", "").startswith(_EVENTS):
        return Followed(tries, tries.response)
    return Answer(tries)


async def resumed(tries: Tries) -> Response:
    """Return what follows the tokens that the client received; raise ``HandoffError`` or ``PeerError``."""
    chat = tries.chat
    prefix = "chatcmpl" if _is_chat(chat) else "cmpl"
    head = {"id": f"{prefix}-{chat.request_id}", "created": int(time()), "model": chat.body["model"]}
    try:
        return Followed(tries, await _remainder(tries, Progress(head, list(chat.received), spoken=True)))
    except UnreachableError as error:
        message = f"no worker tokenized the prompt ({error}): try again"
        raise HandoffError(Code.PREFILL_UNAVAILABLE, message) from error


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
                self._tries.close()
                self._tries.broke(error, Leg.DECODE)
                await _begin(self._tries, self._tries.chat, error)
            else:
                if self._tries.oracle:
                    self._tries.oracle.whole(body)
                self._tries.ended()
                return body

    async def take(self) -> bytes:
        """Return the next part; raise ``UnreachableError`` where it breaks off."""
        try:
            part = await self._tries.response.take()
        except UnreachableError:
            self._tries.lost()
            raise
        if not part:
            self._tries.ended()
        return part

    def leave(self) -> None:
        """Leave whoever answers."""
        self._tries.close()


class Followed(Answer):
    """Remember a stream as it passes, and go on with it elsewhere where it breaks."""

    def __init__(self, tries: Tries, events: Parts) -> None:
        super().__init__(tries)
        self._events = events
        self._journal = Journal(shown=tries.chat.body.get("return_token_ids") is True)
        self._oracle = tries.oracle

    async def take(self) -> bytes:
        """Return whole events; raise ``UnreachableError`` where the stream breaks off and nobody can go on."""
        journal = self._journal
        while True:
            try:
                while not journal.failed and (chunk := await self._events.take()):
                    if self._oracle:
                        self._oracle = self._oracle.push(chunk)
                    if sent := journal.push(chunk):
                        return sent
                if journal.finished:
                    self._tries.ended()
                    return b""
                error = UnreachableError("the stream ended before it said so")
            except UnreachableError as broken:
                error = broken
            self._events = await self._continued(error)

    async def _continued(self, error: UnreachableError) -> Parts:
        """Return the rest of the stream, from whoever goes on with it; raise ``error`` where nobody can."""
        journal, received = self._journal, self._tries.chat.received
        progress = None if journal.events is None else self._tries.way.progress(journal.events, received)
        journal.cut()
        self._tries.close()
        if progress is None:
            self._tries.lost()
            raise error
        self._tries.broke(error, Leg.STREAM)
        try:
            return await _remainder(self._tries, progress)
        except (HandoffError, PeerError) as refused:
            raise error from refused


async def _remainder(tries: Tries, progress: Progress) -> Parts:
    """Return the events after ``progress``; raise ``UnreachableError`` where nobody tokenizes, or as ``begin`` does."""
    prompt, chat = await tries.tokenize(), tries.chat
    missing = tries.way.rest(chat, progress, prompt, tries.limit(prompt.max_model_len - len(prompt.ids)))
    before = tries.way.uncounted(progress) if missing else len(progress.ids)
    rewriter = Rewriter(progress, prompt_tokens=len(prompt.ids), before=before, chat=_is_chat(chat))
    if missing is None:
        reason = None if progress.finish_reason else _LENGTH
        return Ending(rewriter.ending(reason, usage=asked_for_usage(chat) and not progress.counted))
    await tries.begin(missing)
    return Rewritten(tries.response, rewriter)


def _is_chat(chat: Chat) -> bool:
    return chat.path == CHAT_COMPLETIONS


async def _begin(tries: Tries, chat: Chat, error: UnreachableError) -> None:
    try:
        await tries.begin(chat)
    except (HandoffError, PeerError) as refused:
        raise error from refused
