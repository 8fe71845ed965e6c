"""Answer chats in a single process: the reference that a prefill→decode handoff is compared with.

Reads JSON lines ``{"messages": […], "max_tokens": n}`` on stdin and writes, for each, a JSON line ``{"prompt_tokens",
"token_ids", "text", "finish_reason"}`` on stdout. Greedy. A bad line or model file ends it with a message and code 1.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from runtime.standins.engine.engine import Engine
from runtime.standins.engine.model_file import ModelFileError
from runtime.standins.engine.sampling import Sampling


def answer(engine: Engine, request: object) -> dict[str, Any]:
    """Return the whole answer to one request; raise ``ValueError`` on a shape other than the module's."""
    match request:
        case {"messages": messages, "max_tokens": int(max_tokens)}:
            prompt = engine.tokenizer.chat(messages)
        case _:
            raise ValueError(f'request is {request!r}, it must be {{"messages": […], "max_tokens": n}}')
    cache = engine.new_cache(len(prompt) + max_tokens)
    engine.prefill(prompt, cache)
    generation = engine.generate(prompt, cache, Sampling(), max_tokens=max_tokens)
    tokens = list(generation)
    return {
        "prompt_tokens": len(prompt),
        "token_ids": tokens,
        "text": engine.tokenizer.decode(tokens),
        "finish_reason": generation.finish_reason,
    }


def main() -> int:
    """Serve stdin until it ends."""
    try:
        engine = Engine.load()
        for line in sys.stdin:
            print(json.dumps(answer(engine, json.loads(line)), ensure_ascii=False), flush=True)
    except (ModelFileError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
