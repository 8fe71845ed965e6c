"""Answer the gateway's routes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from runtime.gateway.access.tenants import Keyring
from runtime.gateway.admission.bodies import Bodies
from runtime.gateway.admission.turnstile import Turnstile
from runtime.gateway.api.bedrock.routes import BedrockRuntime
from runtime.gateway.api.body import read_body
from runtime.gateway.api.call import Call, Relay, Relayed
from runtime.gateway.api.guard import HEALTH, OPENAPI, READY, Guard
from runtime.gateway.api.refusal import BEDROCK, unreadable
from runtime.gateway.api.relay import relay
from runtime.gateway.api.time_limit import Stopping, TimeLimit
from runtime.gateway.config import GatewayConfig
from runtime.gateway.http.message import Answer, Request, json_answer
from runtime.gateway.http.routes import Routes
from runtime.gateway.http.server import Server
from runtime.gateway.http.stream import Stream
from runtime.gateway.peers.upstream import Response
from runtime.gateway.providers.provider import Provider
from runtime.gateway.request import chat as bodies
from runtime.gateway.request.chat import Chat
from runtime.gateway.request.counting import Counted, Counter
from runtime.gateway.request.tokenizer import Tokenizer
from runtime.gateway.routing.deadline import Deadline
from runtime.gateway.telemetry import tracing
from runtime.gateway.telemetry.log import Lines
from runtime.gateway.telemetry.metrics import Metrics
from runtime.gateway.telemetry.record import Record
from runtime.handoff import contract, fields
from runtime.handoff.contract import Code, HandoffError

DOCUMENT: Final = Path(__file__).with_name("openapi.json")
"""What the gateway serves, as an OpenAPI document."""
ANSWERED: Final = (contract.CHAT_COMPLETIONS, contract.COMPLETIONS)
WARMING: Final = "/v1/tcp_warming"
_TIME_LIMIT: Final = fields.TIME_LIMIT_HEADER.lower()
_KV_BYTES: Final = contract.KV_BYTES_HEADER.lower()
_KV_BYTES_DIGITS: Final = 16  # a petabyte is not the KV of a request, and a peer's number is not taken on trust


class Gateway:
    """Answer the gateway's routes to the tenants that ``known`` returns, as one of ``replicas`` tasks.

    Prompts are counted by ``tokenizer``, and estimated without one.
    """

    def __init__(
        self,
        config: GatewayConfig,
        provider: Provider,
        metrics: Metrics,
        known: Callable[[], Sequence[Keyring]],
        replicas: Callable[[], int],
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self._config = config
        self._known = known
        self._provider = provider
        self._metrics = metrics
        self.lines = Lines()
        self.stopping = Stopping()
        self.bodies = Bodies(config.admission.bodies_bytes)
        decisive = min(config.thresholds.new_tokens, config.admission.prompt_tokens or config.max_model_len)
        self._counter = Counter(tokenizer, max_model_len=config.max_model_len, decisive=decisive)
        self._turnstile = Turnstile(config.admission, replicas)
        metrics.admits(lambda: self._turnstile.waiting)
        self._document = DOCUMENT.read_bytes()
        self._started = int(time.time())

    def server(self) -> Server:
        """Return what serves clients, yet to be started."""
        guard = Guard(
            routes=self.routes(),
            open=self.open_routes(),
            known=self._known,
            ended=self._ended,
            region=self._config.region,
            body_bytes=self._config.admission.body_bytes,
            bodies=self.bodies,
        )
        return Server(guard.handle, unreadable)

    def open_routes(self) -> Routes[Request]:
        """Return who answers what needs no key."""
        routes: Routes[Request] = Routes()
        routes.add("GET", HEALTH, self._health)
        routes.add("GET", READY, self._ready)
        routes.add("GET", OPENAPI, self._openapi)
        return routes

    def routes(self) -> Routes[Call]:
        """Return who answers what a tenant may ask."""
        routes: Routes[Call] = Routes()
        routes.add("GET", contract.MODELS, self._models)
        routes.add("GET", contract.MODELS + "/{model:.+}", self._one_model)
        routes.add("GET", WARMING, self._warm)
        for path in ANSWERED:
            routes.add("POST", path, self._complete)
        BedrockRuntime(self._config.model, self._asked, self._config.admission.body_bytes).add_to(routes)
        return routes

    async def _health(self, _: Request) -> Answer:
        return json_answer({"status": "ok"})

    async def _ready(self, _: Request) -> Answer:
        lack = self._provider.lack
        if lack:
            return json_answer({"status": "not ready", "reason": lack}, status=503)
        return json_answer({"status": "ready"})

    async def _openapi(self, _: Request) -> Answer:
        return Answer(self._document, headers={"Content-Type": "application/json"})

    async def _models(self, _: Call) -> Answer:
        return json_answer({"object": "list", "data": [self._model]})

    async def _one_model(self, call: Call) -> Answer:
        if (named := call.request.names["model"]) != self._config.model:
            message = f"model is {named[:200]!r}, served here is {self._config.model!r}"
            raise HandoffError(Code.MODEL_NOT_FOUND, message)
        return json_answer(self._model)

    async def _warm(self, _: Call) -> Answer:
        """Answer Cerebras' client, which opens its connection by this before its first request."""
        return Answer(status=204)

    @property
    def _model(self) -> dict[str, object]:
        return {
            "id": self._config.model,
            "object": "model",
            "created": self._started,
            "owned_by": "tandem",
            "max_model_len": self._config.max_model_len,  # as vLLM lists it
        }

    def _ended(self, record: Record, status: int) -> None:
        self.lines.write("request", record.line(status))
        if record.path in ANSWERED or record.path.startswith(BEDROCK):
            self._metrics.ended(record, status)

    async def _complete(self, call: Call) -> Answer | Stream:
        body = bodies.parse(await read_body(call.request, self._config.admission.body_bytes))
        call.record.stream = body.get("stream") is True
        return await self._asked(body, call, relay)

    async def _asked(self, body: Mapping[str, Any], call: Call, passed_on: Relay[Relayed]) -> Relayed:
        """Have a chat completion answered in its turn, whichever API it came by, and the answer ``passed_on``."""
        now = asyncio.get_running_loop().time()
        asked = Deadline.read(call.request.headers.get(_TIME_LIMIT), now)
        ends_at = asked.earlier(now + self._config.admission.request_seconds)
        chat = self._read(body, call, Deadline(ends_at))
        counted = self._counter.count(chat)
        chat = self._fitted(chat, call, counted if isinstance(counted, tuple) else await counted)
        limit = TimeLimit(ends_at, self.stopping)
        self._metrics.streams.rise(1)
        try:
            with limit, tracing.request(call.record.parent, call.record.described) as call.record.trace_id:
                return await self._in_turn(chat, call, limit, passed_on)
        finally:
            self._metrics.streams.fall(1)
            limit.end()

    def _read(self, body: Mapping[str, Any], call: Call, deadline: Deadline) -> Chat:
        return bodies.read(
            body,
            request_id=call.record.request_id,
            tenant=call.tenant.id,
            model=self._config.model,
            max_model_len=self._config.max_model_len,
            path=contract.COMPLETIONS if call.request.path == contract.COMPLETIONS else contract.CHAT_COMPLETIONS,
            deadline=deadline,
        )

    def _fitted(self, chat: Chat, call: Call, counted: Counted) -> Chat:
        tokens, how = counted
        call.record.phases.decided("prompt_tokens", how)
        return bodies.fitted(chat, tokens, self._config.admission.prompt_tokens)

    async def _in_turn(self, chat: Chat, call: Call, limit: TimeLimit, passed_on: Relay[Relayed]) -> Relayed:
        record = call.record
        place = await self._turnstile.enter(call.tenant, chat.tokens, record.phases)
        try:
            upstream = await self._provider.answer(chat, record.phases)
            try:
                record.kv_bytes = _kv_bytes(upstream)
                return await passed_on(upstream, call, limit)
            finally:
                upstream.leave()
        finally:
            self._turnstile.leave(place)


def _kv_bytes(upstream: Response) -> int:
    told = upstream.headers.get(_KV_BYTES, "")
    return int(told) if told.isascii() and told.isdecimal() and len(told) < _KV_BYTES_DIGITS else 0
