"""Write an answer as OpenAI does: one JSON object, or server-sent events."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from runtime.handoff.contract import KV_BYTES_HEADER, SERVER_TIMING, HandoffError
from runtime.standins.cs3.chat import ChatRequest
from runtime.standins.cs3.decode import Answer
from runtime.standins.cs3.imports import Imported

log = logging.getLogger(__name__)


async def whole(chat: ChatRequest, imported: Imported, answer: Answer) -> web.Response:
    """Decode to the end and return one ``chat.completion``, or ``text_completion``."""
    text = "".join([piece async for piece in answer])
    content: dict[str, Any] = {"message": {"role": "assistant", "content": text}}
    if chat.prompt is not None:
        content = {"text": text}
    told = {"logprobs": answer.fresh_logprobs(), "finish_reason": answer.finish_reason}
    choice = {"index": 0, **content, **told, **_token_ids(chat, answer)}
    body = _head("", chat, imported) | {"choices": [choice]} | answer.usage()
    return web.json_response(body, headers=_headers(imported))


async def stream(request: web.Request, chat: ChatRequest, imported: Imported, answer: Answer) -> web.StreamResponse:
    """Send each piece as it is decoded; a failure is told in the stream, which then lacks its ``[DONE]``."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **_headers(imported)}
    )
    try:
        await response.prepare(request)
        async for event in _events(chat, imported, answer):
            await response.write(event)
        await response.write_eof()
    except ConnectionResetError:
        log.info("client left request_id=%s", imported.request_id)
    return response


async def _events(chat: ChatRequest, imported: Imported, answer: Answer) -> AsyncIterator[bytes]:
    head = _head(".chunk", chat, imported) | ({"usage": None} if chat.include_usage else {})
    if chat.prompt is None and not chat.received:
        yield _event(head | _choice({"delta": {"role": "assistant", "content": ""}}))
    try:
        async for piece in answer:
            yield _event(head | _choice(_piece(chat, piece), None, **_told(chat, answer)))
    except HandoffError as error:
        log.exception("decode failed request_id=%s", imported.request_id)
        yield _event(error.body())
        return
    yield _event(head | _choice(_piece(chat, ""), answer.finish_reason, **_told(chat, answer)))
    if chat.include_usage:
        yield _event(head | {"choices": []} | answer.usage())
    yield b"data: [DONE]\n\n"


def _headers(imported: Imported) -> dict[str, str]:
    return {
        SERVER_TIMING: imported.phases.server_timing(),
        KV_BYTES_HEADER: str(imported.kv_bytes),
    }


def _head(suffix: str, chat: ChatRequest, imported: Imported) -> dict[str, Any]:
    name, kind = ("chatcmpl", f"chat.completion{suffix}") if chat.prompt is None else ("cmpl", "text_completion")
    created = int(time.time())
    return {"id": f"{name}-{imported.request_id}", "object": kind, "created": created, "model": chat.model}


def _piece(chat: ChatRequest, text: str) -> dict[str, Any]:
    if chat.prompt is not None:
        return {"text": text}
    return {"delta": {"content": text} if text else {}}


def _told(chat: ChatRequest, answer: Answer) -> dict[str, Any]:
    return {"logprobs": answer.fresh_logprobs(), **_token_ids(chat, answer)}


def _choice(content: Mapping[str, Any], finish_reason: str | None = None, **more: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, **content, "logprobs": None, "finish_reason": finish_reason, **more}]}


def _token_ids(chat: ChatRequest, answer: Answer) -> dict[str, list[int]]:
    """Return the choice's ``token_ids``, which vLLM sends where ``return_token_ids`` is asked for."""
    return {"token_ids": answer.fresh_token_ids()} if chat.return_token_ids else {}


def _event(body: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()
