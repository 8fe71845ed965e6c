"""Serve the decode endpoint contract over HTTP."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from runtime.gateway.routing.deadline import Deadline
from runtime.handoff import contract, fields
from runtime.handoff.reservation import Reservations
from runtime.standins.cs3 import chat, reply
from runtime.standins.cs3.admission import Admission
from runtime.standins.cs3.chat import ChatRequest
from runtime.standins.cs3.decode import CANCELLED, Answer
from runtime.standins.cs3.guard import as_refusal, bearer, errors
from runtime.standins.cs3.imports import Imported
from runtime.standins.cs3.metrics import Metrics
from runtime.standins.cs3.streams import Streams
from runtime.standins.cs3.time_limit import in_time
from runtime.standins.engine.engine import Engine

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 4 * 2**20  # a prompt of 8,192 tokens has some 40 kB


class Endpoint:
    """Answer the contract's routes for one model; ``thread`` is the one that decodes, ``provider`` what KV goes by."""

    def __init__(
        self,
        *,
        model: str,
        engine: Engine,
        reservations: Reservations,
        admission: Admission,
        thread: Executor,
        streams: Streams,
        provider: str,
    ) -> None:
        self._model = model
        self._engine = engine
        self._reservations = reservations
        self._admission = admission
        self._thread = thread
        self._streams = streams
        self._metrics = Metrics(reservations, provider)
        self._started = int(time.time())
        self._document = contract.DOCUMENT.read_bytes()

    def application(self, key: str) -> web.Application:
        """Return the aiohttp application; ``key`` is what clients must present."""
        app = web.Application(middlewares=[errors, bearer(key)], client_max_size=MAX_BODY_BYTES)
        app.router.add_get(contract.HEALTH, self._health)
        app.router.add_get(contract.METRICS, self._exposition)
        app.router.add_get(contract.MODELS, self._models)
        app.router.add_get(contract.OPENAPI, self._openapi)
        app.router.add_get(contract.CAPABILITIES, self._capabilities)
        app.router.add_post(contract.RESERVATIONS, self._reserve)
        app.router.add_delete(contract.RESERVATIONS + "/{id}", self._withdraw)
        app.router.add_post(contract.CHAT_COMPLETIONS, self._complete)
        app.router.add_post(contract.COMPLETIONS, self._complete)
        app.router.add_post(contract.ABORT, self._abort)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _exposition(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": self._model, "object": "model", "created": self._started, "owned_by": "tandem"}
        return web.json_response({"object": "list", "data": [model]})

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type="application/json")

    async def _capabilities(self, _: web.Request) -> web.Response:
        geometry = self._engine.geometry
        model = {
            "id": self._model,
            "max_model_len": geometry.context,
            "kv_bytes_per_token": geometry.kv_bytes_per_token,
        }
        held = self._reservations
        fill = held.reserved_bytes(now=time.monotonic()) / held.memory
        about = {"contract": contract.VERSION, "models": [model], "handoff": "kv", contract.STREAMING: contract.LAYERS}
        return web.json_response({**about, contract.RESERVATION_FILL: round(fill, 6)})

    async def _reserve(self, request: web.Request) -> web.Response:
        body = chat.read_object(await request.read())
        held = self._admission.reserve(
            chat.text(body, "model"),
            request_id=chat.text(body, "request_id"),
            attempt=chat.count(body, "attempt", least=0),
            prompt_tokens=chat.count(body, "prompt_tokens"),
            max_tokens=chat.count(body, "max_tokens"),
        )
        log.info("reserved request_id=%s attempt=%d bytes=%d", held.request_id, held.attempt, held.size)
        answer = {"reservation_id": held.reservation_id, "ttl_ms": round(self._reservations.ttl * 1000)}
        answer |= {fields.STREAM: self._streams.invite(held)}
        return web.json_response(answer, status=201)

    async def _withdraw(self, request: web.Request) -> web.Response:
        self._reservations.withdraw(request.match_info["id"], now=time.monotonic())
        return web.Response(status=204)

    async def _abort(self, request: web.Request) -> web.Response:
        body = chat.read_object(await request.read())
        self._admission.abort(body.get(fields.KV_TRANSFER_PARAMS))
        return web.json_response({"status": "accepted"}, status=202)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        outcome = CANCELLED  # what holds if the task is cancelled, since the client left
        try:
            body = chat.read_object(await request.read())
            asked = ChatRequest.from_body(body, chat=request.path == contract.CHAT_COMPLETIONS)
            deadline = Deadline.read(request.headers.get(fields.TIME_LIMIT_HEADER), time.monotonic())
            async with AsyncExitStack() as stack:
                async with in_time(deadline):
                    imported = await stack.enter_async_context(self._admission.admit(asked))
                self._metrics.kv_bytes.inc(imported.kv_bytes)
                self._metrics.imports.labels("digest" if imported.verified else "time").inc()
                self._metrics.streamed.inc(imported.streamed)
                self._metrics.late_bytes.inc(imported.late_bytes)
                answer = Answer(self._engine, self._thread, asked, imported, deadline)
                try:
                    return await self._reply(request, asked, imported, answer)
                finally:
                    outcome = answer.outcome
        except Exception as failure:
            outcome = as_refusal(failure).code.value
            raise
        finally:
            self._metrics.requests.labels(outcome).inc()

    async def _reply(
        self, request: web.Request, asked: ChatRequest, imported: Imported, answer: Answer
    ) -> web.StreamResponse:
        log.info(
            "decoding request_id=%s prompt_tokens=%d kv_bytes=%d %s",
            imported.request_id,
            len(imported.prompt),
            imported.kv_bytes,
            imported.phases.server_timing(),
        )
        with self._metrics.active.track_inprogress():
            try:
                if asked.stream:
                    return await reply.stream(request, asked, imported, answer)
                return await reply.whole(asked, imported, answer)
            finally:
                log.info(
                    "ended request_id=%s outcome=%s completion_tokens=%d",
                    imported.request_id,
                    answer.outcome,
                    answer.completion_tokens,
                )
