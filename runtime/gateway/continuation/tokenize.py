"""Have a vLLM worker tokenize a prompt as it would to answer it."""

from __future__ import annotations

import json
from typing import Final

from runtime.gateway.continuation.resume import Tokenized
from runtime.gateway.peers.upstream import Client, UnreachableError, headers
from runtime.gateway.peers.workers import Pool, Prompt, Worker
from runtime.gateway.request import chat as bodies
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import Chat
from runtime.handoff import contract

_PATH: Final = "/tokenize"
_FIELDS: Final = {
    contract.CHAT_COMPLETIONS: ("model", "messages", "tools", "chat_template_kwargs"),
    contract.COMPLETIONS: ("model", "prompt"),
}
_SILENCE_SECONDS: Final = 10.0
_NO_WORK: Final = Prompt(tokens=0)


async def tokenize(pool: Pool, client: Client, chat: Chat, attempt: Attempt) -> Tokenized:
    """Ask one worker after the other; raise ``UnreachableError`` where none can tell, ``HandoffError`` if none is.

    A prompt of token ids need not be asked for.
    """
    if ids := bodies.token_ids(chat.body, chat.path):
        return Tokenized([*ids], chat.max_model_len)
    asked: set[str] = set()
    while True:
        worker = pool.lend(_NO_WORK, but=asked).choice
        asked.add(worker.run)
        try:
            return await _ask(worker, client, chat, attempt)
        except UnreachableError:
            pool.failed(worker)
            if not pool.usable(asked):
                raise
        finally:
            pool.give_back(worker, _NO_WORK)


async def _ask(worker: Worker, client: Client, chat: Chat, attempt: Attempt) -> Tokenized:
    body = {name: chat.body[name] for name in _FIELDS[chat.path] if name in chat.body}
    sent = headers(worker.key, attempt.name, attempt.deadline)
    with await client.ask(
        "POST", worker.url + _PATH, headers=sent, body=bodies.encode(body), silence=_SILENCE_SECONDS, pin=worker.digest
    ) as response:
        await response.head()
        answer = await response.read()
        try:
            told = json.loads(answer)
            return Tokenized([int(one) for one in told["tokens"]], int(told["max_model_len"]))
        except (ValueError, LookupError, TypeError) as error:
            raise UnreachableError(f"worker {worker} answered {_PATH} with status {response.status}") from error
