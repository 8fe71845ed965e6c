"""An answer is streamed as server-sent events, and says when it is whole."""

from __future__ import annotations

import json

from runtime.handoff import contract
from tandem.conformance.parties import Parties, require


async def check(parties: Parties) -> None:
    """Raise ``BreachError`` unless the streamed text is the whole answer's, and ends in ``[DONE]``."""
    whole = await parties.decode(await parties.ready())
    whole.require_status(200)
    body = parties.chat(await parties.ready(), stream=True)
    async with parties.open("POST", contract.CHAT_COMPLETIONS, body) as response:
        require(response.status == 200, f"answered status {response.status}, the contract says 200")
        require(response.content_type == "text/event-stream", f"content type is {response.content_type}")
        lines = (await response.text()).splitlines()
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    require(bool(events) and events[-1] == "[DONE]", "the stream ends without [DONE]")
    choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    require(text == whole.body["choices"][0]["message"]["content"], "the streamed text is not the whole answer's")
    await parties.require_nothing_held()
