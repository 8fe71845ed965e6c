"""Say what was decided, and why, in words that are few enough to be labels of a metric."""

from __future__ import annotations

from collections.abc import Hashable
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

Choice = TypeVar("Choice", bound=Hashable)


class Reason(StrEnum):
    """Enumerate why a policy chose as it did."""

    ONLY = "only"
    LOAD = "load"
    PREFIX = "prefix"
    SESSION = "session"
    SPILL_OVER = "spill_over"
    ALL_FULL = "all_full"
    NEW_TOKENS = "new_tokens"
    NEW_SHARE = "new_share"
    CACHED = "cached"
    NO_TEXT = "no_text"
    NO_KV = "no_kv"


class Decision(msgspec.Struct, Generic[Choice], frozen=True):
    """Hold what was chosen and why."""

    choice: Choice
    reason: Reason
