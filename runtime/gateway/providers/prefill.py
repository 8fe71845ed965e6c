"""Have a prompt prefilled by a worker, and check what comes back."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from runtime.gateway.peers.upstream import Client, NotSentError, PeerError, Response, UnreachableError, headers, refusal
from runtime.gateway.peers.workers import Pool, Worker
from runtime.gateway.providers.retries import Retries, code_of
from runtime.gateway.request import chat as bodies
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import Chat
from runtime.gateway.routing.failure import Action, Leg
from runtime.gateway.telemetry.gauge import Gauge
from runtime.gateway.telemetry.oracle import first_text
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError

_WORKERS: Final = 3
"""How many workers, or runs of one, a prompt is given to at most."""
_THEIR_FAULT: Final = frozenset({Code.PREFILL_UNAVAILABLE, Code.PREFILL_FAILED})


class Prefill:
    """Send prompts to prefill workers; ``queued`` holds the tokens they work on."""

    def __init__(self, pool: Pool, client: Client, *, queued: Gauge, retries: Retries) -> None:
        self.pool = pool
        self._queued = queued
        self._client = client
        self._retries = retries

    async def run(self, chat: Chat, attempt: Attempt, stream: object = None) -> dict[str, Any]:
        """Return the ``kv_transfer_params`` of a prefilled prompt; raise ``HandoffError`` or ``PeerError``.

        ``stream`` is the decode endpoint's invitation to offer it KV before that; only one worker is told of it.
        """
        attempt.leg = Leg.PREFILL
        self._queued.rise(chat.prompt_tokens)
        try:
            with attempt.phases.measure("prefill"):
                return await self._at_workers(chat, attempt, stream)
        finally:
            self._queued.fall(chat.prompt_tokens)

    async def _at_workers(self, chat: Chat, attempt: Attempt, stream: object) -> dict[str, Any]:
        while True:
            try:
                return await self._at_a_worker(chat, attempt, None if attempt.failed_workers else stream)
            except (HandoffError, PeerError) as error:
                another = self._another(attempt)
                if self._retries.after(Leg.PREFILL, error, another, attempt.phases) is Action.GIVE_UP:
                    raise

    def _another(self, attempt: Attempt) -> tuple[Action, ...]:
        failed = attempt.failed_workers
        return (Action.ANOTHER_WORKER,) if len(failed) < _WORKERS and self.pool.usable(failed) else ()

    async def _at_a_worker(self, chat: Chat, attempt: Attempt, stream: object) -> dict[str, Any]:
        decision = self.pool.lend(attempt.prompt, but=attempt.failed_workers)
        worker = decision.choice
        attempt.phases.decided("worker", decision.reason)
        attempt.phases.worker = str(worker)
        try:
            params = await self._ask(worker, chat, attempt, stream)
        except (HandoffError, PeerError) as error:
            if code_of(error) in _THEIR_FAULT:
                self.pool.failed(worker)
                attempt.failed_workers.add(worker.run)
            raise
        finally:
            self.pool.give_back(worker, attempt.prompt)
        self.pool.succeeded(worker)
        return params

    async def _ask(self, worker: Worker, chat: Chat, attempt: Attempt, stream: object) -> dict[str, Any]:
        path, asked = bodies.to_prefill(chat)
        body = bodies.encode(bodies.for_prefill(asked, stream))
        sent = headers(worker.key, attempt.name, attempt.deadline)
        url = worker.url + path
        try:
            with await self._client.ask("POST", url, headers=sent, body=body, pin=worker.digest) as exchange:
                await exchange.head()
                if exchange.status != 200:
                    raise await refusal(exchange, peer=f"prefill worker {worker}", failed=Code.PREFILL_FAILED)
                answer = await _json(exchange)
                attempt.foretold = first_text(answer)
                return handoff(answer, worker)
        except UnreachableError as error:
            if isinstance(error, NotSentError):
                await self.pool.renew(worker)
            message = f"prefill worker {worker} cannot be reached ({error}): try again"
            raise HandoffError(Code.PREFILL_UNAVAILABLE, message) from error


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
        return msgspec.json.decode(await response.read())
    except (ValueError, RecursionError) as error:
        raise HandoffError(Code.PREFILL_FAILED, "a prefill worker answered with something else than JSON") from error
