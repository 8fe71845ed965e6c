"""Hold the token that prefill chose against the first one that decode chooses: the same KV must lead to the same.

Both choose by themselves, so they are comparable where nothing is drawn by lot. Texts are compared, since asking a
worker for ids would have it send those of the whole prompt as well: a token that begins with the other one passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from runtime.gateway.sse.events import EventError, Events

_SAID: Final = ("content", "reasoning_content", "reasoning")
_HALF: Final = "\ufffd"


class Verdict(StrEnum):
    """Enumerate how the two tokens compare."""

    SAME = "same"
    OTHER = "other"


def greedy(body: Mapping[str, Any]) -> bool:
    """Tell whether a request leaves nothing to chance."""
    return body.get("temperature") == 0 or body.get("top_k") == 1


def first_text(answer: object) -> str:
    """Return the text of an answer or a chunk, empty where it has none or half a character."""
    try:
        choice = answer["choices"][0]  # type: ignore[index]
        said = choice.get("message") or choice.get("delta") or choice
        text = next((said[name] for name in _SAID if said.get(name)), choice.get("text"))
    except (LookupError, TypeError, AttributeError):
        return ""
    return text if isinstance(text, str) and _HALF not in text else ""


class Oracle:
    """Wait for the beginning of an answer, and tell once whether it is the text that prefill ``foretold``.

    An answer that cannot be read tells nothing.
    """

    def __init__(self, foretold: str, told: Callable[[Verdict], None]) -> None:
        self._foretold = foretold
        self._told = told
        self._events = Events()
        self._text = ""

    def push(self, received: bytes) -> Oracle | None:
        """Take in the next bytes of a stream; return None once nothing more is needed."""
        try:
            for data in self._events.push(received):
                if data == b"[DONE]" or self._take(json.loads(data)):
                    return None
        except (EventError, ValueError, RecursionError):
            return None
        return self

    def whole(self, body: bytes) -> None:
        """Take in an answer that is not streamed."""
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            return
        self._text = first_text(answer)
        self._tell()

    def _take(self, chunk: object) -> bool:
        self._text += first_text(chunk)
        ended = bool(_finish_reason(chunk))
        if ended or len(self._text) >= len(self._foretold):
            self._tell()
            return True
        return False

    def _tell(self) -> None:
        same = self._text.startswith(self._foretold)
        self._told(Verdict.SAME if same else Verdict.OTHER)


def _finish_reason(chunk: object) -> object:
    try:
        return chunk["choices"][0].get("finish_reason")  # type: ignore[index]
    except (LookupError, TypeError, AttributeError):
        return None
