"""Pass an answer on to a client of OpenAI's API: byte for byte."""

from __future__ import annotations

from runtime.gateway.api.call import Call
from runtime.gateway.api.time_limit import TimeLimit
from runtime.gateway.http.message import Answer, Request
from runtime.gateway.http.stream import Stream
from runtime.gateway.peers.upstream import PEERS_TIMING, Response, UnreachableError
from runtime.gateway.sse.ending import Tail
from runtime.gateway.telemetry import usage
from runtime.gateway.telemetry.record import Record
from runtime.handoff import contract
from runtime.handoff.contract import Code, HandoffError


async def relay(upstream: Response, call: Call, limit: TimeLimit) -> Answer | Stream:
    """Pass a whole answer or a stream on, as it came."""
    if upstream.headers.get("content-type", "").startswith("text/event-stream"):
        return await _stream(upstream, call.request, call.record, limit)
    return await _whole(upstream, call.record)


async def _whole(upstream: Response, record: Record) -> Answer:
    try:
        body = await upstream.read()
    except UnreachableError as error:
        raise _broken(error) from error
    record.bytes_out, record.usage = len(body), usage.of_answer(body)
    return Answer(body, headers=_headers(upstream, record))


async def _stream(upstream: Response, request: Request, record: Record, limit: TimeLimit) -> Stream:
    """Copy bytes as they come; a write waits while the client is slow, and so does the peer."""
    response = request.stream(_headers(upstream, record))
    tail = Tail()
    try:
        with limit:
            while chunk := await upstream.take():
                if not record.bytes_out:
                    record.phases.first_bytes(upstream.headers.get(PEERS_TIMING))
                tail.push(chunk)
                record.bytes_out += len(chunk)
                await response.write(chunk)
        if not tail.finished:
            raise UnreachableError("the stream ended before it said so")
        record.usage = usage.of_events(tail.end)
    except (UnreachableError, HandoffError) as error:
        failure = _broken(error) if isinstance(error, UnreachableError) else error
        record.code = failure.code.value
        response.end_with(tail.error_event(failure))
        return response
    response.end()
    return response


def _broken(error: UnreachableError) -> HandoffError:
    return HandoffError(Code.DECODE_FAILED, f"the decode endpoint broke off its answer ({error})")


def _headers(upstream: Response, record: Record) -> dict[str, str]:
    told = upstream.headers
    headers = {"Content-Type": told.get("content-type", "application/json")}
    if timing := record.phases.server_timing(told.get(PEERS_TIMING)):
        headers[contract.SERVER_TIMING] = timing
    if record.kv_bytes:
        headers[contract.KV_BYTES_HEADER] = str(record.kv_bytes)
    return headers
