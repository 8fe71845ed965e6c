"""Hold one row of a trace, whatever the file's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Request(NamedTuple):
    """Hold when a request came, in seconds of the trace's own clock, and its tokens."""

    seconds: float
    prompt_tokens: int
    answer_tokens: int
    blocks: Sequence[int] = ()
