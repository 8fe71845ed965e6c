"""Have a prompt prefilled by a worker, and check what comes back."""

from __future__ import annotations

import json
from typing import Any

from runtime.gateway import chat as bodies
from runtime.gateway.chat import Chat
from runtime.gateway.gauge import Gauge
from runtime.gateway.phases import Phases
from runtime.gateway.upstream import Client, NotSentError, Response, UnreachableError, headers, refusal
from runtime.gateway.workers import RETRIES, Pool, Worker
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError


class Prefill:
    """Send prompts to prefill workers; ``queued`` holds the tokens they work on."""

    def __init__(self, pool: Pool, client: Client, *, queued: Gauge) -> None:
        self.pool = pool
        self._queued = queued
        self._client = client

    async def run(self, chat: Chat, phases: Phases, stream: object = None) -> dict[str, Any]:
        """Return the ``kv_transfer_params`` of a prefilled prompt; raise ``HandoffError`` or ``PeerError``.

        ``stream`` is the decode endpoint's invitation to offer it KV before that.
        """
        with phases.measure("prefill"), self._queued.holding(chat.prompt_tokens):
            for last in (False,) * RETRIES + (True,):
                with self.pool.borrow() as worker:
                    phases.worker = str(worker)
                    try:
                        return await self._ask(worker, chat, stream)
                    except UnreachableError as error:
                        if last or not isinstance(error, NotSentError):
                            message = f"prefill worker {worker} cannot be reached ({error}): try again"
                            raise HandoffError(Code.PREFILL_UNAVAILABLE, message) from error
                await self.pool.renew(worker)
        raise AssertionError("the last attempt returns or raises")

    async def _ask(self, worker: Worker, chat: Chat, stream: object) -> dict[str, Any]:
        body = bodies.encode(bodies.for_prefill(chat.body, stream))
        url = worker.url + chat.path
        sent = headers(worker.key, chat.request_id)
        async with self._client.send("POST", url, headers=sent, body=body, pin=worker.digest) as response:
            if response.status != 200:
                raise await refusal(response, peer=f"prefill worker {worker}", failed=Code.PREFILL_FAILED)
            return handoff(await _json(response), worker)


def handoff(answer: object, worker: Worker) -> dict[str, Any]:
    """Return the handoff parameters in a worker's answer; raise ``HandoffError`` (``prefill_failed``).

    Peers come from discovery alone: parameters that name another host than the one asked are refused.
    """
    params = answer.get(fields.KV_TRANSFER_PARAMS) if isinstance(answer, dict) else None
    missing = fields.missing(params)
    if not isinstance(params, dict) or missing:
        names = ", ".join(missing)
        raise HandoffError(Code.PREFILL_FAILED, f"prefill worker {worker} answered without {names}")
    if params[fields.REMOTE_HOST] != worker.host:
        named = f"{params[fields.REMOTE_HOST]:.80}"
        raise HandoffError(Code.PREFILL_FAILED, f"prefill worker {worker} answered with the KV address of {named!r}")
    return params


async def _json(response: Response) -> object:
    try:
        return json.loads(await response.read())
    except (ValueError, RecursionError) as error:
        raise HandoffError(Code.PREFILL_FAILED, "a prefill worker answered with something else than JSON") from error
