"""Ask the running system, and read what it says of itself."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from runtime.gateway.peers.workers import Worker
from runtime.handoff import fields, ticket
from runtime.handoff.contract import ABORT, CHAT_COMPLETIONS, METRICS
from runtime.handoff.ticket import Ticket
from tests.vllm.programs import (
    DECODE_KEY,
    EMULATOR,
    GATEWAY_KEY,
    MODEL,
    PREFILL,
    TICKET_KEY,
    WORKERS,
    Host,
)

SHORT = "Name three colours."
LONG = "Summarise: " + " ".join(f"Item {number} costs {number * 7 % 90} dollars." for number in range(120))
PROMPTS = {"short": SHORT, "blocks": LONG[:700], "long": LONG}
"""Prompts of about 35, 230 and 1,700 tokens."""

_TRIES = 3
"""As often as OpenAI's client asks by default; vLLM's own handshake gives up after 5 s, which a busy machine takes."""
_AGAIN_SECONDS = 10.0
"""After so long a gateway has looked anew for a worker that was too busy to say that it is ready."""


def messages(prompt: str) -> list[dict[str, str]]:
    """Return a prompt as a chat."""
    return [{"role": "user", "content": prompt}]


@dataclass(frozen=True, slots=True)
class Client:
    """Hold an HTTP session, and the workers with their keys."""

    http: aiohttp.ClientSession
    workers: Mapping[Host, Worker]

    async def ask(self, host: Host, prompt: str, *, max_tokens: int = 24) -> tuple[list[int], aiohttp.ClientResponse]:
        """Return the greedy answer's token ids, and the response, of a gateway or of a worker alone."""
        body = _body(prompt, max_tokens) | {"return_token_ids": True}
        answer, response = await self._post(host, body)
        return answer["choices"][0]["token_ids"], response

    async def likely(self, host: Host, prompt: str, *, max_tokens: int = 24) -> list[dict[int, float]]:
        """Return, for each token of a worker's greedy answer, the likeliest ids with their log probabilities."""
        wanted = {"logprobs": True, "top_logprobs": 5, "return_tokens_as_token_ids": True}
        answer, _ = await self._post(host, _body(prompt, max_tokens) | wanted)
        tokens = answer["choices"][0]["logprobs"]["content"]
        return [{int(top["token"].split(":")[1]): top["logprob"] for top in token["top_logprobs"]} for token in tokens]

    async def prefill(self, prompt: str) -> dict[str, Any]:
        """Have the worker prefill as a gateway does, and return its ``kv_transfer_params``."""
        body = _body(prompt, 1) | {fields.KV_TRANSFER_PARAMS: dict(fields.PREFILL_REQUEST)}
        answer, _ = await self._post(PREFILL, body)
        params: dict[str, Any] = answer[fields.KV_TRANSFER_PARAMS]
        return params

    async def abort(self, params: dict[str, Any]) -> None:
        """Have the emulator give up a prefilled prompt, as a gateway does whose client left."""
        claims = Ticket.for_params(
            params,
            tenant="test",
            request_id="aborted",
            attempt=1,
            model=MODEL.id,
            reservation_id="none",
            lease_ms=1000 * WORKERS.kv_lease_seconds,
            prefill_gap_ms=0,
            expires_at=time.time() + 60,
        )
        ours = {fields.SEAL: ticket.seal_of(params), fields.TICKET: ticket.sign(claims, TICKET_KEY.encode())}
        body = {fields.KV_TRANSFER_PARAMS: params | {fields.TANDEM: ours}}
        headers = {"Authorization": f"Bearer {DECODE_KEY}"}
        async with self.http.post(EMULATOR.url + ABORT, json=body, headers=headers) as response:
            assert response.status == 202, await response.text()

    async def metric(self, host: Host, name: str) -> float:
        """Return the sum of a metric's values."""
        async with self.http.get(host.url + METRICS, ssl=self._trust(host)) as response:
            text = await response.text()
        values = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, flags=re.MULTILINE)
        assert values, f"{host.name} has no metric {name}"
        return sum(map(float, values))

    async def until(self, host: Host, name: str, wanted: float, seconds: float) -> None:
        """Wait until a metric has a value."""
        async with asyncio.timeout(seconds):
            while await self.metric(host, name) != wanted:
                await asyncio.sleep(0.1)

    def _trust(self, host: Host) -> aiohttp.Fingerprint | bool:
        """Trust a worker by its digest, a gateway as its load balancer does."""
        return aiohttp.Fingerprint(bytes.fromhex(self.workers[host].digest)) if host in self.workers else False

    async def _post(self, host: Host, body: dict[str, Any]) -> tuple[dict[str, Any], aiohttp.ClientResponse]:
        key = self.workers[host].key if host in self.workers else GATEWAY_KEY
        headers, url = {"Authorization": f"Bearer {key}"}, host.url + CHAT_COMPLETIONS
        for _ in range(_TRIES):
            async with self.http.post(url, json=body, headers=headers, ssl=self._trust(host)) as response:
                text = await response.text()
            if response.status < 500:
                break
            await asyncio.sleep(_AGAIN_SECONDS)
        assert response.status == 200, text
        answer: dict[str, Any] = json.loads(text)
        return answer, response


def _body(prompt: str, max_tokens: int) -> dict[str, Any]:
    return {"model": MODEL.id, "messages": messages(prompt), "max_tokens": max_tokens, "temperature": 0}
