"""Play the gateway between a real prefill worker and a real emulator, each a process on its own loopback address."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from runtime.handoff import contract, fields, ticket
from runtime.handoff.certificate import Certificate
from runtime.handoff.ticket import Ticket
from tests.patience import HUNG_SECONDS, LONG_SECONDS
from tests.ports import free_port

MODEL = "public-name"
DECODE_KEY = "decode-key"
TICKET_KEY = "ticket-key-ü"
WORKER_KEY = "worker-key"
EMULATOR_HOST = "127.77.0.1"
WORKER_HOST = "127.77.0.2"
SHORT: list[Any] = [{"role": "user", "content": "Name three colours."}]
STREAMS: dict[str, Any] = {}
"""The invitation to workers that came with a reservation."""
_REQUESTS: dict[str, str] = {}
"""Which request a reservation was granted to."""
SECRETS = {"TANDEM_DECODE_KEY": DECODE_KEY, "TANDEM_TICKET_KEY": TICKET_KEY}


@dataclass(frozen=True)
class Answered:
    """Hold a response that was read to its end."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def code(self) -> str:
        """The error code of a refusal in OpenAI's shape."""
        assert set(self.body) == {"error"}, self.body
        assert set(self.body["error"]) - {"phase"} == {"message", "type", "param", "code"}
        return str(self.body["error"]["code"])


@dataclass(frozen=True)
class Gateway:
    """Take the gateway's steps one by one."""

    http: aiohttp.ClientSession
    emulator: str
    worker: str

    async def ask(self, method: str, path: str, body: object = None, key: str | None = DECODE_KEY) -> Answered:
        """Send the emulator JSON, or raw bytes, and read the JSON or text that comes back."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self.http.request(method, self.emulator + path, data=io.BytesIO(raw), headers=headers) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Answered(response.status, response.headers, json.loads(text) if is_json else text)

    async def reserve(self, *, prompt_tokens: int = 40, max_tokens: int = 8) -> str:
        """Reserve memory and return the reservation's id."""
        body = {"request_id": f"r-{uuid.uuid4()}", "attempt": 1, "model": MODEL}
        body |= {"prompt_tokens": prompt_tokens, "max_tokens": max_tokens}
        answer = await self.ask("POST", contract.RESERVATIONS, body)
        assert answer.status == 201, answer.body
        reservation = str(answer.body["reservation_id"])
        _REQUESTS[reservation] = str(body["request_id"])
        STREAMS[reservation] = answer.body[fields.STREAM]
        return reservation

    async def abort(self, params: object) -> Answered:
        """Give up a request that was prefilled."""
        return await self.ask("POST", contract.ABORT, {fields.KV_TRANSFER_PARAMS: params})

    async def prefill(self, messages: object = SHORT, stream: object = None) -> dict[str, Any]:
        """Let the worker prefill, with an invitation or without, and return its ``kv_transfer_params``."""
        ours = {fields.TANDEM: {fields.STREAM: stream}} if stream else {}
        body = {"model": MODEL, "messages": messages, "temperature": 0}
        return await self._prefill(contract.CHAT_COMPLETIONS, body, ours)

    async def prefill_text(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Let the worker prefill the prompt of a completion of text."""
        return await self._prefill(contract.COMPLETIONS, body, {})

    async def _prefill(self, path: str, body: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
        asked = {**body, "max_tokens": 1, fields.KV_TRANSFER_PARAMS: {**fields.PREFILL_REQUEST, **ours}}
        headers = {"Authorization": f"Bearer {WORKER_KEY}", fields.REQUEST_ID_HEADER: "r"}
        async with self.http.post(self.worker + path, json=asked, headers=headers) as response:
            assert response.status == 200, await response.text()
            params: dict[str, Any] = (await response.json())[fields.KV_TRANSFER_PARAMS]
            return params

    async def decode(self, params: object, messages: object = SHORT, **more: Any) -> Answered:
        """Ask for an answer that is not streamed."""
        return await self.ask("POST", contract.CHAT_COMPLETIONS, chat_body(params, messages, **more))

    async def ready(self, **claims: Any) -> dict[str, Any]:
        """Reserve, prefill the short prompt and return signed params."""
        reservation = await self.reserve()
        return signed(await self.prefill(), reservation, **claims)

    async def metric(self, name: str) -> float:
        """Return the value of an emulator's metric, 0 where it has none yet."""
        return _value(str((await self.ask("GET", contract.METRICS, key=None)).body), name)

    async def worker_metric(self, name: str) -> float:
        """Return the value of a worker's metric."""
        async with self.http.get(f"{self.worker}/metrics") as response:
            return _value(await response.text(), f"vllm:{name}{{")

    async def until_free(self) -> None:
        """Wait until neither side holds anything of any request: sooner than leases and reservations end."""
        async with asyncio.timeout(HUNG_SECONDS):
            while await self._held() != (0, 0, 0, 0):
                await asyncio.sleep(0.02)

    async def _held(self) -> tuple[float, ...]:
        names = ("tandem_decode_reservations", "tandem_decode_reserved_bytes", "tandem_decode_active")
        own = [await self.metric(name) for name in names]
        return (*own, await self.worker_metric("kv_cache_usage_perc"))


def chat_body(params: object, messages: object = SHORT, **more: Any) -> dict[str, Any]:
    """Return the body of a greedy chat completion of at most 8 tokens."""
    body = {"model": MODEL, "messages": messages, "max_tokens": 8, "temperature": 0}
    return body | {fields.KV_TRANSFER_PARAMS: params} | more


def signed(params: dict[str, Any], reservation: str, *, key: str = TICKET_KEY, **claims: Any) -> dict[str, Any]:
    """Return params with the gateway's ticket; ``claims`` replace what it would say."""
    usual = {"tenant": "t", "request_id": _REQUESTS.get(reservation, "r"), "attempt": 1, "model": MODEL}
    usual |= {"reservation_id": reservation}
    usual |= {"lease_ms": LONG_SECONDS * 1000, "prefill_gap_ms": 0}
    usual |= {"expires_at": time.time() + LONG_SECONDS}
    token = ticket.sign(Ticket.for_params(params, **usual | claims), key.encode())
    seal = {fields.SEAL: found} if (found := ticket.seal_of(params)) else {}
    return params | {fields.TANDEM: seal | {fields.TICKET: token}}


@contextmanager
def emulator(
    log: Path, *flags: str, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run the emulator's own command line, patient unless ``flags`` say otherwise; yield the process and its URL."""
    port = free_port(EMULATOR_HOST)
    command = ["runtime.standins.cs3", f"--host={EMULATOR_HOST}", f"--port={port}", f"--served-model-name={MODEL}"]
    command += [f"--reservation-ttl-seconds={LONG_SECONDS}", f"--handshake-seconds={LONG_SECONDS}"]
    url = f"{'https' if tls else 'http'}://{EMULATOR_HOST}:{port}"
    with _program([*command, *flags], SECRETS, url, log, tls) as process:
        yield process, url


@contextmanager
def prefill_worker(
    log: Path, host: str = WORKER_HOST, *, lease_seconds: int = LONG_SECONDS, certificate: Certificate | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run vLLM's stand-in; yield the process and its URL."""
    with _vllm(log, host, "kv_producer", lease_seconds, certificate) as started:
        yield started


@contextmanager
def decode_worker(log: Path, certificate: Certificate) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run vLLM's stand-in for decode, at the address that prefill workers have; yield the process and its URL."""
    with _vllm(log, WORKER_HOST, "kv_consumer", LONG_SECONDS, certificate) as started:
        yield started


@contextmanager
def _vllm(
    log: Path, host: str, role: str, lease_seconds: int, certificate: Certificate | None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port(host)
    extra = {"kv_lease_duration": lease_seconds}
    config = {"kv_connector": "NixlConnector", "kv_role": role, "kv_connector_extra_config": extra}
    command = ["runtime.standins.vllm", "serve", "m", f"--host={host}", f"--port={port}"]
    command += [f"--served-model-name={MODEL}", f"--kv-transfer-config={json.dumps(config)}"]
    if certificate:
        command += [f"--ssl-certfile={certificate.path}", f"--ssl-keyfile={certificate.path}"]
    variables = {"VLLM_NIXL_SIDE_CHANNEL_HOST": host, "VLLM_NIXL_SIDE_CHANNEL_PORT": str(free_port(host))}
    url, tls = f"http{'s' if certificate else ''}://{host}:{port}", certificate.client() if certificate else None
    with _program(command, variables | {"VLLM_API_KEY": WORKER_KEY}, url, log, tls) as process:
        yield process, url


@contextmanager
def _program(
    command: list[str], variables: dict[str, str], url: str, log: Path, tls: ssl.SSLContext | None
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=os.environ | variables, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait_healthy(process, url, log, tls)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=HUNG_SECONDS)


def _wait_healthy(process: subprocess.Popen[bytes], url: str, log: Path, tls: ssl.SSLContext | None) -> None:
    deadline = time.monotonic() + HUNG_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(urllib.error.URLError), urllib.request.urlopen(url + contract.HEALTH, context=tls):  # noqa: S310 - our own URL
            return
        time.sleep(0.05)
    raise AssertionError(f"{url} did not start:\n{log.read_text()}")


def _value(exposition: str, name: str) -> float:
    lines = (line for line in exposition.splitlines() if line.startswith(name))
    return float(next(lines, "0").rsplit(" ", 1)[-1])
