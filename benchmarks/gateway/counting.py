"""Say what counting a prompt by its tokenizer takes: ``python -m benchmarks.gateway.counting``.

CPU time of one call, the least of many, with the small model's vocabulary of 49,152 tokens and English text.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Final

from runtime.gateway.request import chat as bodies
from runtime.gateway.request.chat import Chat
from runtime.gateway.request.counting import Counter
from runtime.gateway.request.tokenizer import Tokenizer
from runtime.standins.engine import model_file
from runtime.standins.engine.gguf_file import GgufFile
from runtime.standins.engine.tokenizer import Tokenizer as Small

_ROOT: Final = Path(__file__).parents[2]
_CONTEXT: Final = 32768
_SIZES: Final = (200, 1_000, 2_000, 10_000, 50_000, 100_000)
_CALLS: Final = 20


def _chat(text: str) -> Chat:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    raw = json.dumps(body).encode()
    return bodies.read(bodies.parse(raw), request_id="r", tenant="t", model="m", max_model_len=_CONTEXT)


async def _measure(counter: Counter, chat: Chat) -> tuple[float, int, str]:
    best = float("inf")
    for _ in range(_CALLS):
        began = time.process_time()
        counted = counter.count(chat)
        tokens, how = counted if isinstance(counted, tuple) else await counted
        best = min(best, time.process_time() - began)
    return best, tokens, how


async def main() -> None:
    """Print a table."""
    small = Small.from_metadata(GgufFile(model_file.locate()).metadata)
    counter = Counter(Tokenizer.read(small.to_json().encode()), max_model_len=_CONTEXT, decisive=2048)
    english = "".join(path.read_text() for path in sorted((_ROOT / "docs").glob("*.md")))
    print("| bytes of text | counted | tokens | CPU ms |\n|---|---|---|---|")
    for size in _SIZES:
        seconds, tokens, how = await _measure(counter, _chat(english[:size]))
        print(f"| {size:,} | {how} | {tokens:,} | {seconds * 1000:.3f} |")


if __name__ == "__main__":
    asyncio.run(main())
