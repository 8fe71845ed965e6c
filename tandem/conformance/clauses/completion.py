"""A prompt of token ids is answered as the chat that has it, event by event, and gone on with by another endpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from runtime.handoff import contract, fields
from tandem.conformance.parties import Parties, require

_TOKENS: Final = 8


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless text, ids and usage are those of the chat, in whole and in two parts."""
    whole = await parties.decode(await parties.ready(), max_tokens=_TOKENS)
    whole.require_status(200)
    wanted, usage = whole.body["choices"][0]["message"]["content"], whole.body["usage"]
    prompt = await parties.tokenize()
    events = await _streamed(parties, prompt, [])
    require(_text(events) == wanted, f"the chat is answered by {wanted!r}, the completion by {_text(events)!r}")
    begun = events[: next(number for number, event in enumerate(events, 1) if _text([event]))]
    received = [one for event in begun for choice in event["choices"] for one in choice.get("token_ids") or []]
    require(bool(received), "the stream has text, and no token_ids with it")
    rest = await _streamed(parties, prompt, received)
    gone_on = _text(begun) + _text(rest)
    require(gone_on == wanted, f"gone on with after {len(received)} tokens it is {gone_on!r}, it was {wanted!r}")
    for told in (events[-1].get("usage"), rest[-1].get("usage")):
        require(told == usage, f"usage is {told}, the chat's was {usage}")
    await parties.require_nothing_held()


async def _streamed(parties: Parties, prompt: Sequence[int], received: Sequence[int]) -> list[dict[str, Any]]:
    ids = [*prompt, *received]
    params = parties.sign(await parties.prefill(prompt=ids), await parties.reserve(prompt_tokens=len(ids)))
    body = {name: value for name, value in parties.chat(params, max_tokens=_TOKENS).items() if name != "messages"}
    body |= {"prompt": prompt, "stream": True, "stream_options": {"include_usage": True}, "return_token_ids": True}
    body |= {fields.RECEIVED: received} if received else {}
    async with parties.open("POST", contract.COMPLETIONS, body) as response:
        require(response.status == 200, f"answered status {response.status}, the contract says 200")
        lines = (await response.text()).splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    require(bool(events) and events.pop() == "[DONE]", "the stream ends without [DONE]")
    return [json.loads(event) for event in events]


def _text(events: Sequence[dict[str, Any]]) -> str:
    return "".join(choice["text"] for event in events for choice in event["choices"])
