"""Decide whether a request may be decoded: every check of the contract that comes before its KV, in its order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from runtime.handoff.acceptance import Accepted, accept
from runtime.handoff.contract import Code, HandoffError, Phase
from runtime.handoff.reservation import Reservation, Reservations
from runtime.standins.cs3.chat import ChatRequest, invalid
from runtime.standins.cs3.imports import Imported, Importer
from runtime.standins.cs3.phases import Phases
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.model_file import MODEL_DIGEST


class Admission:
    """Let requests in one by one; ``ticket_keys`` are those that a gateway may sign with."""

    def __init__(
        self,
        *,
        model: str,
        engine: Engine,
        ticket_keys: Sequence[bytes],
        reservations: Reservations,
        importer: Importer,
    ) -> None:
        self._model = model
        self._engine = engine
        self._ticket_keys = ticket_keys
        self._reservations = reservations
        self._importer = importer

    def reserve(self, model: str, *, request_id: str, attempt: int, prompt_tokens: int, max_tokens: int) -> Reservation:
        """Hold memory for one attempt: for its KV, and for reading that of the prompt.

        ``prompt_tokens`` is an estimate, so it alone never exceeds the context.
        """
        self._check_model(model)
        self._check_context(1, max_tokens)
        tokens = min(prompt_tokens + max_tokens, self._engine.geometry.context)
        return self._reservations.grant(
            self._importer.needed_bytes(prompt_tokens=prompt_tokens, tokens=tokens),
            request_id=request_id,
            attempt=attempt,
            max_tokens=max_tokens,
            now=time.monotonic(),
        )

    @asynccontextmanager
    async def admit(self, chat: ChatRequest) -> AsyncIterator[Imported]:
        """Yield the request's KV and free its memory afterwards; raise ``HandoffError`` with the contract's codes."""
        phases = Phases()
        try:
            with phases.measure("verify"):  # tokenising here is what the KV's length is verified by
                prompt = await self._tokenise(chat)
            accepted = self._accept(chat.kv_transfer_params)
            reservation = self._consume(accepted)
        except HandoffError as error:
            error.phase = Phase.ADMISSION
            raise
        async with self._importer.imported(chat, prompt, accepted, reservation, phases) as imported:
            yield imported

    def abort(self, params: object) -> None:
        """Give up a prefilled request: free its reservation and its blocks, unless it is being decoded already."""
        accepted = self._accept(params)
        self._reservations.withdraw(accepted.ticket.reservation_id, now=time.monotonic())
        self._free_unread(accepted)

    async def _tokenise(self, chat: ChatRequest) -> list[int]:
        self._check_model(chat.model)
        if isinstance(chat.prompt, list):
            return self._checked([*chat.prompt, *chat.received], chat)
        tokenizer = self._engine.tokenizer
        try:
            if chat.prompt is not None:
                prompt = await asyncio.to_thread(tokenizer.encode, chat.prompt)
            else:
                prompt = await asyncio.to_thread(tokenizer.chat, chat.messages)
        except ValueError as error:
            raise invalid(str(error)[:500]) from error
        return self._checked([*prompt, *chat.received], chat)

    def _checked(self, prompt: list[int], chat: ChatRequest) -> list[int]:
        """Return what the KV is to be of: the prompt, and what there is of its answer."""
        vocabulary = self._engine.geometry.vocabulary
        if max(prompt) >= vocabulary:
            raise invalid(f"prompt holds token id {max(prompt)}, allowed is 0 to {vocabulary - 1}")
        self._check_context(len(prompt), 1 if chat.left is None else chat.left)
        return prompt

    def _accept(self, params: object) -> Accepted:
        return accept(params, keys=self._ticket_keys, model=self._model, model_digest=MODEL_DIGEST, now=time.time())

    def _consume(self, accepted: Accepted) -> Reservation:
        claims = accepted.ticket
        try:
            return self._reservations.consume(
                claims.reservation_id, request_id=claims.request_id, attempt=claims.attempt, now=time.monotonic()
            )
        except HandoffError:
            self._free_unread(accepted)
            raise

    def _free_unread(self, accepted: Accepted) -> None:
        """Free a request's blocks unless another call reads, or did read, them: that call tells the worker itself."""
        if not self._reservations.was_consumed(accepted.ticket.reservation_id):
            self._importer.notify(accepted)

    def _check_model(self, model: str) -> None:
        if model != self._model:
            raise HandoffError(Code.MODEL_NOT_FOUND, f"model is {model[:80]!r}, served is {self._model!r}")

    def _check_context(self, num_tokens: int, max_tokens: int) -> None:
        context = self._engine.geometry.context
        if num_tokens + max_tokens > context:
            raise HandoffError(
                Code.CONTEXT_LENGTH_EXCEEDED,
                f"{num_tokens} prompt tokens and max_tokens {max_tokens} exceed the model's context of {context}: "
                "shorten the prompt or lower max_tokens",
            )
