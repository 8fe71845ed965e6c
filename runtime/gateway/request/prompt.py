"""Describe a request's prompt to the policies that choose a worker."""

from __future__ import annotations

import msgspec

from runtime.gateway.peers.workers import Prompt
from runtime.gateway.request.chat import Chat
from runtime.gateway.routing.prefix import BLOCK_BYTES, block_hashes


def described(chat: Chat) -> Prompt:
    """Return what is known of a prompt: its tokens, blocks of its text, hashed, and the client's own hint.

    ``prompt_cache_key`` is OpenAI's field for requests that share a prefix; a tenant's keys are its own.
    """
    body = chat.body
    # tools stand before the messages in a prompt, as chat templates write them
    text = msgspec.json.encode([body.get("tools"), body.get("messages"), body.get("prompt")])
    hint = body.get("prompt_cache_key")
    return Prompt(
        tokens=chat.prompt_tokens,
        blocks=block_hashes(text),
        block_tokens=chat.prompt_tokens * BLOCK_BYTES // len(text),
        session=f"{chat.tenant}\0{hint}" if isinstance(hint, str) else None,
    )
