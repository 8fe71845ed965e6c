"""Describe a request's prompt to the policies that choose a worker."""

from __future__ import annotations

import msgspec

from runtime.gateway.peers.workers import Prompt
from runtime.gateway.request.chat import BYTES_PER_TOKEN, Chat
from runtime.gateway.routing.prefix import BLOCK_BYTES, block_hashes


def described(chat: Chat) -> Prompt:
    """Return what is known of a prompt without its tokenizer: estimated tokens, hashed blocks, the client's own hint.

    ``prompt_cache_key`` is OpenAI's field for requests that share a prefix; a tenant's keys are its own.
    """
    body = chat.body
    # tools stand before the messages in a prompt, as chat templates write them
    text = msgspec.json.encode([body.get("tools"), body.get("messages"), body.get("prompt")])
    hint = body.get("prompt_cache_key")
    return Prompt(
        tokens=chat.prompt_tokens,
        blocks=block_hashes(text),
        block_tokens=BLOCK_BYTES // BYTES_PER_TOKEN,
        session=f"{chat.tenant}\0{hint}" if isinstance(hint, str) else None,
    )
