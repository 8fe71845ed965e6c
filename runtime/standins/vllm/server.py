"""Serve vLLM's HTTP routes."""

from __future__ import annotations

import hmac
import json
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from aiohttp import web

from runtime.handoff import fields
from runtime.handoff.stream import invitation
from runtime.standins.engine.sampling import Sampling
from runtime.standins.vllm.completion import Shape
from runtime.standins.vllm.flags import Serve
from runtime.standins.vllm.metrics import Metrics
from runtime.standins.vllm.protocol import (
    Body,
    ChatBody,
    CompletionBody,
    RequestError,
    TokenizeBody,
    bad_request,
    decode,
)
from runtime.standins.vllm.worker import Piece, Worker

MAX_BODY_BYTES = 16 * 2**20

Pieces = AsyncGenerator[Piece, None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answer OpenAI requests with a worker; ``/health`` and ``/metrics`` need no key."""

    def __init__(self, serve: Serve, worker: Worker, metrics: Metrics) -> None:
        self._serve = serve
        self._worker = worker
        self._metrics = metrics

    def app(self) -> web.Application:
        """Return the application; run it with ``handler_cancellation`` so that a client that leaves stops its work."""
        app = web.Application(middlewares=[self._refuse], client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/metrics", self._scrape),
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/completions", self._complete),
                web.post("/tokenize", self._tokenize),
            ]
        )
        return app

    @web.middleware
    async def _refuse(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._authorize(request)
            return await handler(request)
        except RequestError as error:
            return web.json_response(error.body(), status=error.status)

    def _authorize(self, request: web.Request) -> None:
        if not self._serve.api_keys or not request.path.startswith("/v1"):
            return
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if not any(hmac.compare_digest(given, key.encode()) for key in self._serve.api_keys):
            raise RequestError(401, "AuthenticationError", "Unauthorized: the request needs the server's API key")

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _scrape(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _models(self, _: web.Request) -> web.Response:
        about = {"object": "model", "created": int(time.time()), "owned_by": "vllm", "root": self._serve.model}
        length = {"parent": None, "max_model_len": self._worker.max_model_len}
        data = [{"id": name, **about, **length} for name in self._serve.names]
        return web.json_response({"object": "list", "data": data})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = decode(await request.read(), ChatBody)
        return await self._respond(request, body, lambda: self._worker.engine.tokenizer.chat(body.messages))

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = decode(await request.read(), CompletionBody)
        prompt = body.prompt
        encode = self._worker.engine.tokenizer.encode
        return await self._respond(request, body, lambda: encode(prompt) if isinstance(prompt, str) else prompt)

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        body, tokenizer = decode(await request.read(), TokenizeBody), self._worker.engine.tokenizer
        text = body.prompt
        tokens = self._prompt(lambda: tokenizer.chat(body.messages) if text is None else tokenizer.encode(text))
        about = {"count": len(tokens), "max_model_len": self._worker.max_model_len}
        return web.json_response({**about, "tokens": tokens, "token_strs": None})

    async def _respond(self, request: web.Request, body: Body, read: Callable[[], list[int]]) -> web.StreamResponse:
        model = body.model or self._serve.names[0]
        if model not in self._serve.names:
            raise RequestError(404, "NotFoundError", f"The model `{model}` does not exist.")
        prompt, sampling = self._prompt(read), body.sampling()
        kind = "chatcmpl" if isinstance(body, ChatBody) else "cmpl"
        name = f"{kind}-{request.headers.get(fields.REQUEST_ID_HEADER) or uuid.uuid4().hex}"
        shape = Shape(id=name, model=model, chat=isinstance(body, ChatBody))
        if body.is_prefill:
            return await self._prefill(shape, prompt, sampling, invitation(body.kv_transfer_params or {}))
        limit = self._worker.answer_limit(prompt, body.limit)  # refused before the headers are sent
        pieces = self._worker.answer(prompt, sampling, limit, self._worker.source(body.source))
        if body.stream:
            return await self._stream(request, shape, pieces, body)
        return await self._whole(shape, pieces, body)

    def _prompt(self, read: Callable[[], list[int]]) -> list[int]:
        try:
            prompt = read()
        except ValueError as error:
            raise bad_request(str(error)) from error
        vocabulary = self._worker.engine.geometry.vocabulary
        if not prompt or not all(0 <= token < vocabulary for token in prompt):
            raise bad_request(f"prompt is empty or holds a token id outside 0 to {vocabulary - 1}")
        return prompt

    async def _prefill(
        self, shape: Shape, prompt: list[int], sampling: Sampling, invited: tuple[str, str] | None
    ) -> web.Response:
        done = await self._worker.prefill(f"{shape.id}-{uuid.uuid4().hex[:8]}", prompt, sampling, invited)
        body = shape.whole(done.text, done.finish_reason, done.usage)
        return web.json_response(body | {fields.KV_TRANSFER_PARAMS: done.kv_transfer_params})

    async def _whole(self, shape: Shape, pieces: Pieces, body: Body) -> web.Response:
        text, ids = "", list[int]()
        async with aclosing(pieces):
            async for piece in pieces:
                text += piece.text
                ids += piece.token_ids
        told = ids if body.return_token_ids else None
        return web.json_response(shape.whole(text, piece.finish_reason, piece.usage, told))

    async def _stream(self, request: web.Request, shape: Shape, pieces: Pieces, body: Body) -> web.StreamResponse:
        """Send each piece; as vLLM does, tell of a failure in the stream."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if shape.chat:
            await response.write(_event(shape.opening()))
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    ids = list(piece.token_ids) if body.return_token_ids else None
                    await response.write(_event(shape.piece(piece.text, piece.finish_reason, ids)))
            if body.stream_options and body.stream_options.include_usage:
                await response.write(_event(shape.closing(piece.usage)))
        except RequestError as error:
            await response.write(_event(error.body()))
        await response.write(b"data: [DONE]\n\n")
        return response


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
