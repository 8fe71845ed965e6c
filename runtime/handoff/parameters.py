"""Name OpenAI's parameters that leave an answer as it is: whoever cannot do one may still take it like that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none",),
    "response_format": ({"type": "text"},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "modalities": (["text"],),
    "echo": (False,),
    "best_of": (1,),
}
"""Parameters that change an answer, with the values at which they do not."""

WITHOUT_EFFECT: Final = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"}
)
"""Parameters that never change an answer."""


def among(value: object, neutral: Sequence[Any]) -> bool:
    """Tell whether ``value`` is one of ``neutral``: to Python 0 is False, to a completion's ``logprobs`` it is not."""
    return any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in neutral)
