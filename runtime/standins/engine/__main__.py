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


def answer(engine: Engine, request: dict[str, Any]) -> dict[str, Any]:
    """Return the whole answer to one request."""
    prompt, max_tokens = engine.tokenizer.chat(request["messages"]), int(request["max_tokens"])
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
    except (ModelFileError, ValueError, KeyError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
