"""A stream can be continued after any of its events: they tell their tokens' ids, and a prompt of ids goes on there."""

from __future__ import annotations

import json
from typing import Any

from runtime.handoff import contract, fields
from tandem.conformance.parties import Parties, require

_TOKENS = 8


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless what follows each event is what its ids, after the prompt's, are answered by."""
    pieces = await _streamed(parties)
    said = [number for number, (text, _) in enumerate(pieces) if text]
    require(len(said) > 1, f"a greedy answer of {_TOKENS} tokens came in {len(said)} events, a token each is needed")
    prompt = await parties.tokenize()
    for last in (said[0], said[len(said) // 2]):
        before = [token for _, ids in pieces[: last + 1] for token in ids]
        require(bool(before), f"event {last + 1} of the stream has text, and no token_ids until then")
        rest = "".join(text for text, _ in pieces[last + 1 :])
        await _goes_on(parties, [*prompt, *before], _TOKENS - len(before), rest)
    await parties.require_nothing_held()


async def _streamed(parties: Parties) -> list[tuple[str, list[int]]]:
    """Return text and ids of each event of a streamed chat."""
    body = parties.chat(await parties.ready(), stream=True, return_token_ids=True, max_tokens=_TOKENS)
    async with parties.open("POST", contract.CHAT_COMPLETIONS, body) as response:
        require(response.status == 200, f"answered status {response.status}, the contract says 200")
        lines = (await response.text()).splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ") and line != "data: [DONE]"]
    choices: list[dict[str, Any]] = [choice for event in events for choice in event.get("choices", [])]
    return [(choice["delta"].get("content") or "", choice.get("token_ids") or []) for choice in choices]


async def _goes_on(parties: Parties, ids: list[int], left: int, expected: str) -> None:
    params = parties.sign(await parties.prefill(prompt=ids), await parties.reserve(prompt_tokens=len(ids)))
    body = {"model": parties.model, "prompt": ids, "max_tokens": left, "temperature": 0}
    answer = await parties.ask("POST", contract.COMPLETIONS, body | {fields.KV_TRANSFER_PARAMS: params})
    answer.require_status(200)
    text = answer.body["choices"][0]["text"]
    require(text == expected, f"after {len(ids)} token ids it goes on with {text!r}, and streamed {expected!r} before")
