"""A stream is gone on with after any of its events: they tell their tokens' ids, which another endpoint takes up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runtime.handoff import contract, fields
from tandem.conformance.parties import Parties, require

_TOKENS: Final = 8


@dataclass(frozen=True, slots=True)
class Streamed:
    """Hold an answer as it came: text and ids of each event, and how many tokens it was said to have."""

    pieces: list[tuple[str, list[int]]]
    counted: int


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless what follows each event is what its ids are answered by."""
    whole = await streamed(parties, {})
    require(whole is not None, "a plain stream was refused as an invalid request")
    if whole:
        await require_taken_up(parties, whole, {})
    await parties.require_nothing_held()


async def streamed(parties: Parties, asked: Mapping[str, Any]) -> Streamed | None:
    """Return a streamed chat with more ``asked`` for; None where the endpoint refuses that by status 400."""
    options = {"stream": True, "stream_options": {"include_usage": True}, "return_token_ids": True}
    body = parties.chat(await parties.ready(), max_tokens=_TOKENS, **options, **asked)
    async with parties.open("POST", contract.CHAT_COMPLETIONS, body) as response:
        if response.status == 400:
            return None
        require(response.status == 200, f"answered status {response.status}, the contract says 200")
        lines = (await response.text()).splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ") and line != "data: [DONE]"]
    choices: list[dict[str, Any]] = [choice for event in events for choice in event.get("choices", [])]
    pieces = [(choice["delta"].get("content") or "", choice.get("token_ids") or []) for choice in choices]
    usage: dict[str, int] = next((event["usage"] for event in events if event.get("usage")), {})
    return Streamed(pieces, usage.get("completion_tokens", 0))


async def require_taken_up(parties: Parties, whole: Streamed, asked: Mapping[str, Any]) -> None:
    """Raise ``BreachError`` unless the answer is completed after its first event with text, and half-way."""
    said = [number for number, (text, _) in enumerate(whole.pieces) if text]
    require(len(said) > 1, f"an answer of {_TOKENS} tokens came in {len(said)} events, a token each is needed")
    prompt = await parties.tokenize()
    for last in (said[0], said[len(said) // 2]):
        received = [token for _, ids in whole.pieces[: last + 1] for token in ids]
        require(bool(received), f"event {last + 1} of the stream has text, and no token_ids until then")
        rest = "".join(text for text, _ in whole.pieces[last + 1 :])
        await _goes_on(parties, prompt, received, rest, whole.counted, asked)


async def _goes_on(
    parties: Parties, prompt: list[int], received: list[int], expected: str, counted: int, asked: Mapping[str, Any]
) -> None:
    ids = [*prompt, *received]
    params = parties.sign(await parties.prefill(prompt=ids), await parties.reserve(prompt_tokens=len(ids)))
    answer = await parties.decode(params, max_tokens=_TOKENS, **{fields.RECEIVED: received}, **asked)
    answer.require_status(200)
    text = answer.body["choices"][0]["message"]["content"]
    require(text == expected, f"after {len(received)} tokens it goes on with {text!r}, it streamed {expected!r} before")
    usage = answer.body["usage"]
    told, right = (usage["prompt_tokens"], usage["completion_tokens"]), (len(prompt), counted)
    require(told == right, f"it counts {told} tokens of prompt and whole answer, there are {right}")
