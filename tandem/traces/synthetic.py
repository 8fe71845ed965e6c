"""Make a trace by stated distributions: gamma-distributed gaps between requests, log-normal lengths."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tandem.traces.trace import Trace

PREFIX: Final = "synthetic:"
"""What a trace's name begins with that is no file."""
_MOST: Final = 5_000_000


class SyntheticError(ValueError):
    """Say what of a description cannot be used."""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Describe traffic by means and coefficients of variation (cv).

    ``burst`` is the cv of the gaps: 1 is a Poisson process, more comes in bursts, 0 like a clock. A ``_cv`` of 0 makes
    all lengths equal.
    """

    rate: float
    seconds: float = 3600.0
    burst: float = 1.0
    prompt: float = 2000.0
    prompt_cv: float = 1.0
    answer: float = 300.0
    answer_cv: float = 1.0
    seed: float = 1.0


def described(text: str) -> Synthetic:
    """Return what ``text`` says, such as ``synthetic:rate=3.4,burst=2,prompt=12000``; raise ``SyntheticError``."""
    known = [field.name for field in fields(Synthetic)]
    given: dict[str, float] = {}
    for part in text.removeprefix(PREFIX).split(","):
        name, _, value = part.partition("=")
        if name not in known or name in given:
            raise SyntheticError(
                f"{part[:60]!r} is unknown or given twice: NAME=NUMBER of {', '.join(known)} is needed"
            )
        given[name] = _number(name, value)
    if "rate" not in given:
        raise SyntheticError(f"rate is missing from {text[:120]!r}: say how many requests come in a second")
    traffic = Synthetic(**given)
    if not 1 <= traffic.rate * traffic.seconds <= _MOST:
        asked = traffic.rate * traffic.seconds
        raise SyntheticError(f"rate x seconds is {asked:g} requests: 1 to {_MOST:,} are allowed")
    return traffic


def generate(traffic: Synthetic) -> Trace:
    """Return a trace of ``rate`` x ``seconds`` requests, the same for the same description."""
    rng = np.random.default_rng(int(traffic.seed))
    count = max(1, round(traffic.rate * traffic.seconds))
    times = np.cumsum(_gaps(rng, count, traffic.burst) / traffic.rate)
    return Trace(
        seconds=times - times[0],
        prompt_tokens=_lengths(rng, count, traffic.prompt, traffic.prompt_cv),
        answer_tokens=_lengths(rng, count, traffic.answer, traffic.answer_cv),
        blocks=np.zeros(0, dtype=np.int64),
        ends=np.zeros(count, dtype=np.int64),
    )


def _gaps(rng: np.random.Generator, count: int, cv: float) -> NDArray[np.float64]:
    if cv == 0:
        return np.ones(count)
    shape = 1 / cv**2
    return rng.gamma(shape, 1 / shape, count)


def _lengths(rng: np.random.Generator, count: int, mean: float, cv: float) -> NDArray[np.int64]:
    spread = np.log1p(cv**2)
    drawn = rng.lognormal(np.log(mean) - spread / 2, np.sqrt(spread), count)
    return np.maximum(1, np.rint(drawn)).astype(np.int64)


def _number(name: str, text: str) -> float:
    least = 0.0 if name.endswith("cv") or name in ("burst", "seed") else 1e-6
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= 1e9:
        raise SyntheticError(f"{name} is {text[:40]!r}: a number from {least:g} to 1e9 is needed")
    return number
