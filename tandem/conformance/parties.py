"""Play the gateway between a prefill worker and the endpoint that is examined."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from runtime.handoff import contract, fields, ticket
from runtime.handoff.contract import Code
from runtime.handoff.ticket import Ticket

PROMPT: Final = [{"role": "user", "content": "Name three colours."}]
LEASE_MS: Final = 30_000
FREE_WITHIN_SECONDS: Final = 5.0
HELD: Final = ("tandem_decode_reservations", "tandem_decode_reserved_bytes", "tandem_decode_active")
"""Metrics of the contract that are 0 when nobody holds anything."""


class BreachError(AssertionError):
    """Tell how the endpoint breaks a clause."""


def require(holds: bool, breach: str) -> None:
    """Raise ``BreachError`` unless something holds."""
    if not holds:
        raise BreachError(breach)


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a response that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The error code, empty where the body has none."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return str(error.get("code", "")) if isinstance(error, dict) else ""

    def require_refusal(self, code: Code) -> None:
        """Raise ``BreachError`` unless this refuses with a code and its status."""
        wanted, got = (contract.STATUS[code], code.value), (self.status, self.code)
        require(got == wanted, f"answered {got}, the contract says {wanted}")

    def require_status(self, status: int) -> None:
        """Raise ``BreachError`` unless this has a status."""
        require(self.status == status, f"answered status {self.status} {self.code}, the contract says {status}")


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """Name memory that was granted, and to which request."""

    id: str
    request_id: str
    ttl_seconds: float
    stream: Any
    """The invitation to workers that came with it, None where the endpoint does not stream."""


@dataclass(frozen=True, kw_only=True)
class Parties:
    """Reach endpoint and worker; ``ticket_key`` is the one that the endpoint accepts."""

    http: aiohttp.ClientSession
    endpoint: str
    endpoint_key: str
    model: str
    ticket_key: bytes
    worker: str
    worker_key: str

    async def ask(self, method: str, path: str, body: object = None, *, key: str | None = "") -> Answer:
        """Send the endpoint JSON and read what comes back; ``key`` None sends none."""
        async with self.open(method, path, body, key=key) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answer(response.status, response.headers, _loaded(text) if is_json and text else text)

    @asynccontextmanager
    async def open(
        self, method: str, path: str, body: object = None, *, key: str | None = ""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the endpoint's response as it comes."""
        headers = {} if key is None else {"Authorization": f"Bearer {key or self.endpoint_key}"}
        async with self.http.request(method, self.endpoint + path, json=body, headers=headers) as response:
            yield response

    async def try_reserve(
        self, *, request_id: str = "", prompt_tokens: int = 40, max_tokens: int = 8, attempt: int = 1
    ) -> Answer:
        """Ask for memory."""
        body = {"request_id": request_id or uuid.uuid4().hex, "attempt": attempt, "model": self.model}
        body |= {"prompt_tokens": prompt_tokens, "max_tokens": max_tokens}
        return await self.ask("POST", contract.RESERVATIONS, body)

    async def reserve(self, *, request_id: str = "", **asked: int) -> Reservation:
        """Reserve memory; raise ``BreachError`` where it is not granted as the contract says."""
        request_id = request_id or uuid.uuid4().hex
        answer = await self.try_reserve(request_id=request_id, **asked)
        answer.require_status(201)
        name, ttl = answer.body.get("reservation_id"), answer.body.get("ttl_ms")
        require(isinstance(name, str) and bool(name), f"reservation_id is {name!r}, a text is needed")
        require(isinstance(ttl, int) and ttl > 0, f"ttl_ms is {ttl!r}, a positive whole number is needed")
        return Reservation(
            id=name, request_id=request_id, ttl_seconds=ttl / 1000, stream=answer.body.get(fields.STREAM)
        )

    async def withdraw(self, reservation_id: str) -> Answer:
        """Give a reservation up."""
        return await self.ask("DELETE", f"{contract.RESERVATIONS}/{reservation_id}")

    async def prefill(self, stream: object = None, prompt: Sequence[int] = ()) -> dict[str, Any]:
        """Let the worker prefill ``PROMPT`` or token ids, with an invitation or none; return ``kv_transfer_params``."""
        asked = {"prompt": prompt} if prompt else {"messages": PROMPT}
        body: dict[str, Any] = {"model": self.model, **asked, "max_tokens": 1, "temperature": 0}
        invited = {fields.TANDEM: {fields.STREAM: stream}} if stream else {}
        body[fields.KV_TRANSFER_PARAMS] = {**fields.PREFILL_REQUEST, **invited}
        headers = {"Authorization": f"Bearer {self.worker_key}", fields.REQUEST_ID_HEADER: uuid.uuid4().hex}
        path = contract.COMPLETIONS if prompt else contract.CHAT_COMPLETIONS
        async with self.http.post(self.worker + path, json=body, headers=headers) as response:
            response.raise_for_status()
            params: dict[str, Any] = (await response.json())[fields.KV_TRANSFER_PARAMS]
            return params

    async def tokenize(self) -> list[int]:
        """Return the token ids of ``PROMPT``, as the worker has them."""
        headers, body = {"Authorization": f"Bearer {self.worker_key}"}, {"model": self.model, "messages": PROMPT}
        async with self.http.post(f"{self.worker}/tokenize", json=body, headers=headers) as response:
            response.raise_for_status()
            tokens: list[int] = (await response.json())["tokens"]
            return tokens

    def sign(
        self, params: Mapping[str, Any], reservation: Reservation, *, key: bytes | None = None, **claims: Any
    ) -> dict[str, Any]:
        """Return params with a ticket; ``claims`` replace what it would truly say."""
        usual = {"tenant": "conformance", "request_id": reservation.request_id, "attempt": 1, "model": self.model}
        usual |= {"reservation_id": reservation.id, "lease_ms": LEASE_MS, "prefill_gap_ms": 0}
        usual |= {"expires_at": time.time() + 120}
        signed = ticket.sign(Ticket.for_params(params, **usual | claims), key or self.ticket_key)
        return {**params, fields.TANDEM: {fields.SEAL: ticket.seal_of(params), fields.TICKET: signed}}

    async def ready(self) -> dict[str, Any]:
        """Prefill, reserve and sign."""
        params = await self.prefill()
        return self.sign(params, await self.reserve())

    def chat(self, params: object, **more: Any) -> dict[str, Any]:
        """Return the body of a greedy chat completion of ``PROMPT``."""
        body = {"model": self.model, "messages": PROMPT, "max_tokens": 8, "temperature": 0}
        return body | {fields.KV_TRANSFER_PARAMS: params} | more

    async def decode(self, params: object, **more: Any) -> Answer:
        """Ask for a whole answer."""
        return await self.ask("POST", contract.CHAT_COMPLETIONS, self.chat(params, **more))

    async def abort(self, params: object) -> Answer:
        """Give a prefilled request up."""
        return await self.ask("POST", contract.ABORT, {fields.KV_TRANSFER_PARAMS: params})

    async def require_nothing_held(self) -> None:
        """Raise ``BreachError`` unless endpoint and worker soon hold nothing of any request."""
        clock = asyncio.get_running_loop().time
        over = clock() + FREE_WITHIN_SECONDS  # by the clock: looking takes its time as well
        while held := {name: value for name, value in (await self._held()).items() if value}:
            if clock() > over:
                raise BreachError(f"after {FREE_WITHIN_SECONDS:g} s is still held: {held}")
            await asyncio.sleep(0.05)

    async def _held(self) -> dict[str, float]:
        own = str((await self.ask("GET", contract.METRICS, key=None)).body)
        async with self.http.get(f"{self.worker}/metrics") as response:
            theirs = await response.text()
        return {name: _metric(own, name) for name in HELD} | {
            "the worker's KV blocks": _metric(theirs, "vllm:kv_cache_usage_perc{")
        }


def _metric(text: str, name: str) -> float:
    values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(name)]
    require(bool(values), f"metrics lack {name}")
    return float(values[0])


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BreachError(f"a body that says to be JSON is none: {text[:80]!r}") from error
