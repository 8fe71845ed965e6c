"""Choose the next token from logits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.standins.engine.grammar import Grammar


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """State how to choose: greedily at ``temperature`` 0 (the lowest id wins ties), else from the ``top_p`` nucleus.

    The same ``seed`` gives the same tokens; without one each run differs. Tokens that the answer has already lose as
    much as the penalties say, once each and for each time. Raises ``ValueError`` outside the ranges.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    json_object: bool = False
    """Whether the answer is to be one JSON object."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature is {self.temperature}, allowed is 0 to 2")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, allowed is more than 0, up to 1")
        for name in ("presence_penalty", "frequency_penalty"):
            if not -2 <= (value := getattr(self, name)) <= 2:
                raise ValueError(f"{name} is {value}, allowed is -2 to 2")

    def chooser(self, answered: Iterable[int] = (), grammar: Grammar | None = None) -> Chooser:
        """Return what chooses token after token, as it would after those of the answer that are ``answered``.

        ``grammar`` has yet to take those; raise ``ValueError`` where they do not fit.
        """
        return Chooser(self, answered, grammar)


class Chooser:
    """Take logits to token ids, one after the other; each is a token of the answer from then on."""

    def __init__(self, sampling: Sampling, answered: Iterable[int], grammar: Grammar | None) -> None:
        self._sampling = sampling
        self._grammar = grammar
        self._counts: Counter[int] = Counter()
        for token in answered:
            self._note(token)
        # a seed may be negative in the OpenAI API, never in numpy
        self._random = np.random.default_rng(None if sampling.seed is None else sampling.seed % 2**64)
        if sampling.temperature:
            self._random.random(self._counts.total())  # one was drawn for each

    def __call__(self, logits: NDArray[np.float32]) -> int:
        """Return the next token's id."""
        logits = self._penalized(logits)
        if self._grammar:
            logits = self._grammar.narrow(logits)
        token = self._draw(logits, self._random.random()) if self._sampling.temperature else int(logits.argmax())
        self._note(token)
        return token

    def _note(self, token: int) -> None:
        self._counts[token] += 1
        if self._grammar:
            self._grammar.take(token)

    def _penalized(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        presence, frequency = self._sampling.presence_penalty, self._sampling.frequency_penalty
        if not self._counts or not (presence or frequency):
            return logits
        lowered = logits.copy()
        lowered[list(self._counts)] -= presence + frequency * np.array(list(self._counts.values()), np.float32)
        return lowered

    def _draw(self, logits: NDArray[np.float32], uniform: float) -> int:
        scaled = (logits.astype(np.float64) - logits.max()) / self._sampling.temperature
        order = np.argsort(-scaled, kind="stable")
        cumulative = np.cumsum(np.exp(scaled[order]))
        nucleus = int(np.searchsorted(cumulative, self._sampling.top_p * cumulative[-1])) + 1
        chosen = np.searchsorted(cumulative[:nucleus], uniform * cumulative[nucleus - 1], side="right")
        return int(order[min(chosen, nucleus - 1)])
