"""Serve Bedrock Runtime's four operations on text: Converse and InvokeModel, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from runtime.gateway.api.bedrock import answer, converse, eventstream, fault, invoke
from runtime.gateway.api.bedrock.converse_stream import ConverseEvents
from runtime.gateway.api.bedrock.invoke import InvokeEvents
from runtime.gateway.api.body import read_body
from runtime.gateway.api.call import Ask, Call
from runtime.gateway.api.time_limit import TimeLimit
from runtime.gateway.http.message import Answer, json_answer
from runtime.gateway.http.routes import Routes
from runtime.gateway.http.stream import Stream
from runtime.gateway.peers.upstream import PEERS_TIMING, Response, UnreachableError
from runtime.gateway.request import chat as bodies
from runtime.gateway.sse.ending import Tail
from runtime.gateway.sse.events import EventError, Events
from runtime.gateway.telemetry import usage
from runtime.gateway.telemetry.record import Record
from runtime.handoff.contract import Code, HandoffError

_BREAKS: Final = (
    HandoffError,
    UnreachableError,
    EventError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
)
_DONE: Final = b"[DONE]"


class Writer(Protocol):
    """Turn the chunks of one answer into encoded events."""

    finished: bool

    def push(self, chunk: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the events of one chunk."""


@dataclass(frozen=True, slots=True)
class _Streamed:
    """Say how a streamed operation is read and written."""

    chat_body: Callable[..., dict[str, Any]]
    writer: Callable[[Callable[[], int]], Writer]
    headers: Mapping[str, str]


_CONVERSE: Final = _Streamed(converse.chat_body, ConverseEvents, {})
_INVOKE: Final = _Streamed(invoke.chat_body, InvokeEvents, {invoke.BODY_TYPE: "application/json"})


@dataclass(frozen=True, slots=True)
class BedrockRuntime:
    """Answer for the one ``model``, by whatever answers chat completions."""

    model: str
    ask: Ask
    body_bytes: int

    def add_to(self, routes: Routes[Call]) -> None:
        """Add the operations' routes; a model's id stands in them with its slashes escaped."""
        routes.add("POST", "/model/{model}/converse", self._converse)
        routes.add("POST", "/model/{model}/invoke", self._invoke)
        routes.add("POST", "/model/{model}/converse-stream", partial(self._stream, _CONVERSE))
        routes.add("POST", "/model/{model}/invoke-with-response-stream", partial(self._stream, _INVOKE))

    async def _converse(self, call: Call) -> Answer:
        record = call.record
        completion = await self._complete(call, converse.chat_body)
        return json_answer(answer.converse(completion, round(record.phases.total_ms)))

    async def _invoke(self, call: Call) -> Answer:
        record = call.record
        completion = await self._complete(call, invoke.chat_body)
        read, written = answer.token_counts(completion)
        headers = {
            invoke.INPUT_TOKENS: str(read),
            invoke.OUTPUT_TOKENS: str(written),
            invoke.LATENCY: str(round(record.phases.total_ms)),
        }
        return json_answer(completion, headers=headers)

    async def _complete(self, call: Call, chat_body: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        body = chat_body(await self._body(call), model=self.model, stream=False)
        return await self.ask(body, call, _completion)

    async def _stream(self, kind: _Streamed, call: Call) -> Stream:
        call.record.stream = True
        body = kind.chat_body(await self._body(call), model=self.model, stream=True)
        return await self.ask(body, call, partial(_events, kind))

    async def _body(self, call: Call) -> dict[str, Any]:
        if (named := call.request.names["model"]) != self.model:
            raise HandoffError(Code.MODEL_NOT_FOUND, f"model is {named[:200]!r}, served here is {self.model!r}")
        return bodies.parse(await read_body(call.request, self.body_bytes))


async def _completion(upstream: Response, call: Call, _: TimeLimit) -> dict[str, Any]:
    """Return a whole chat completion; raise ``HandoffError`` (``decode_failed``) where there is none."""
    try:
        raw = await upstream.read()
        call.record.bytes_out, call.record.usage = len(raw), usage.of_answer(raw)
        completion = json.loads(raw)
    except (UnreachableError, ValueError, RecursionError) as error:
        raise _broken(error) from error
    if not isinstance(completion, dict):
        raise HandoffError(Code.DECODE_FAILED, "the decode endpoint answered with no chat completion")
    return completion


async def _events(kind: _Streamed, upstream: Response, call: Call, limit: TimeLimit) -> Stream:
    record = call.record
    response = call.request.stream({"Content-Type": eventstream.CONTENT_TYPE, **kind.headers})
    try:
        with limit:
            await _relay(upstream, kind.writer(lambda: round(record.phases.total_ms)), response, record)
    except _BREAKS as error:
        failure = error if isinstance(error, HandoffError) else _broken(error)
        record.code = failure.code.value
        kind_of_fault = fault.TIMED_OUT if failure.code is Code.DEADLINE_EXCEEDED else fault.MODEL_STREAM
        response.end_with(eventstream.exception(kind_of_fault.event, str(failure)))
        return response
    response.end()
    return response


async def _relay(upstream: Response, writer: Writer, response: Stream, record: Record) -> None:
    """Write an answer's events as they come; raise where it breaks off, or is none."""
    events, tail = Events(), Tail()
    while received := await upstream.take():
        if not record.bytes_out:
            record.phases.first_bytes(upstream.headers.get(PEERS_TIMING))
        tail.push(received)
        sent = b"".join(event for data in events.push(received) for event in _written(data, writer))
        record.bytes_out += len(sent)
        if sent:
            await response.write(sent)
    if not writer.finished:
        raise UnreachableError("the stream ended before it said so")
    record.usage = usage.of_events(tail.end)


def _written(data: bytes, writer: Writer) -> Iterator[bytes]:
    if data == _DONE:
        return
    chunk = json.loads(data)
    if "error" in chunk:
        raise ValueError(f"it says: {chunk['error']['message']}"[:300])
    yield from writer.push(chunk)


def _broken(error: Exception) -> HandoffError:
    return HandoffError(Code.DECODE_FAILED, f"the decode endpoint broke off its answer ({error})")
