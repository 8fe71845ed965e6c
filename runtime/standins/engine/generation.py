"""Yield an answer's tokens one by one and say why it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from runtime.standins.engine.sampling import Chooser
from runtime.standins.engine.weights import Floats

FinishReason = Literal["stop", "length"]


class Cancelled(Exception):  # noqa: N818 - no error: the caller asked for it
    """Tell that work ended because its caller cancelled it."""


def never() -> bool:
    """Never cancel."""
    return False


class Generation(Iterator[int]):
    """Iterate over the tokens of an answer, computing each when asked.

    ``finish_reason`` is None until the iteration has ended, then "stop" (the model ended, its end-of-sequence token is
    not yielded) or "length" (``max_tokens`` were yielded). ``step`` takes a token and its position to logits.
    ``chooser`` knows what there is of the answer already.
    """

    def __init__(
        self,
        step: Callable[[int, int], Floats],
        *,
        last_token: int,
        position: int,
        chooser: Chooser,
        stop_ids: frozenset[int],
        max_tokens: int,
        cancelled: Callable[[], bool],
    ) -> None:
        self.finish_reason: FinishReason | None = None
        self.logits: Floats | None = None
        """What the last token was chosen from, before any penalty."""
        self._step = step
        self._choose = chooser
        self._token = last_token
        self._position = position
        self._stop_ids = stop_ids
        self._left = max_tokens
        self._cancelled = cancelled

    def __next__(self) -> int:
        """Return the next token; raise ``Cancelled`` if the caller gave up."""
        if self.finish_reason:
            raise StopIteration
        if self._left == 0:
            return self._end("length")
        if self._cancelled():
            raise Cancelled("generation was cancelled")
        self.logits = self._step(self._token, self._position)
        self._token = self._choose(self.logits)
        if self._token in self._stop_ids:
            return self._end("stop")
        self._position += 1
        self._left -= 1
        return self._token

    def _end(self, reason: FinishReason) -> int:
        self.finish_reason = reason
        raise StopIteration
