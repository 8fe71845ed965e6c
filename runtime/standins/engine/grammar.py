"""Hold an answer to a grammar: of all tokens only those may come next that go on with it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from runtime.standins.engine.json_object import JsonObject
from runtime.standins.engine.tokenizer import Tokenizer

_KEPT: Final = 4
"""Of the tokens that fit, the likeliest are left to choose from: to look at all takes a tenth of a second."""


class Grammar:
    """Let an answer be one JSON object, and end with it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._state = JsonObject()

    def take(self, token: int) -> None:
        """Go on after a token; raise ``ValueError`` where it does not fit."""
        if token in self._tokenizer.stop_ids:
            return
        after = self._after(token)
        if after is None:
            raise ValueError(f"token {token} does not go on with a JSON object")
        self._state = after

    def narrow(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits with nothing left to what does not fit."""
        kept = sorted(self._tokenizer.stop_ids) if self._state.complete else self._fitting(logits)
        narrowed = np.full_like(logits, -np.inf)
        narrowed[kept] = logits[kept]
        return narrowed

    def _fitting(self, logits: NDArray[np.float32]) -> list[int]:
        found: list[int] = []
        for token in np.argsort(-logits, kind="stable"):
            if self._after(int(token)) is not None:
                found.append(int(token))
            if len(found) == _KEPT:
                break
        return found

    def _after(self, token: int) -> JsonObject | None:
        said = self._tokenizer.token_bytes(token)
        return self._state.after(said) if said else None
