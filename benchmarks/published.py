"""Hold the planner's model against published figures, agreement and disagreement alike.

``given``: the catalog holds this very figure, so that it can only agree. ``predicted``: it was not used anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from benchmarks.planner import site as example
from tandem.catalog.machines import machines
from tandem.catalog.models import models
from tandem.simulation.replay import replay
from tandem.simulation.site import Pool, Site
from tandem.simulation.summary import summarize
from tandem.simulation.tell import table
from tandem.sizing import legs
from tandem.sizing.worker import Worker
from tandem.traces.synthetic import Synthetic, generate

_LLAMA, _LARGE = "meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.1-405B-Instruct"
_HEAD = ("figure", "published", "model", "ratio", "", "source")
_TTFT, _TPOT = 2.0, 0.05
_REQUESTS: Final = 1500
_CEREBRAS: Final = (
    (
        "meta-llama/Llama-3.1-8B-Instruct",
        1800,
        "given",
        "cerebras.ai/blog/introducing-cerebras-inference-ai-at-instant-speed",
    ),
    ("meta-llama/Llama-3.1-8B-Instruct", 2200, "other measurement", "third party, 2026"),
    ("meta-llama/Llama-3.3-70B-Instruct", 450, "superseded", "the same page of Cerebras, August 2024"),
    (_LARGE, 969, "given", "tomshardware.com, November 2024, as Cerebras told"),
    ("openai/gpt-oss-120b", 2059, "other measurement", "Artificial Analysis, by SemiAnalysis"),
)
Row = tuple[str, str, float, float, str, str]


def rows() -> Iterator[Row]:
    """Yield what, unit, published, modelled, how it relates to the catalog, and the source."""
    small, large = _worker(_LLAMA), _worker(_LARGE)
    neuron = "Neuron tutorial trn2-llama3.3-70b and 405b's, trn2.48xlarge, batch of 1, BF16"
    yield "Llama 70B, 10,000 tokens: TTFT", "ms", 575.6, 1e3 * _prefill(_LLAMA, small, 10_000), "given", neuron
    yield "Llama 70B: TPOT", "ms", 19.8, 1e3 * _token(_LLAMA, small, 10_750), "given", neuron
    yield "Llama 405B, 10,000 tokens: TTFT", "ms", 2442.0, 1e3 * _prefill(_LARGE, large, 10_000), "predicted", neuron
    yield "Llama 405B: TPOT", "ms", 37.9, 1e3 * _token(_LARGE, large, 10_750), "given", neuron
    for name, published, relation, source in _CEREBRAS:
        speed = models()[name].tokens_per_second
        if speed:
            yield f"{name.split('/')[1]} at Cerebras", "tokens/s", published, float(speed), relation, source
    apart, together = _goodput(_apart), _goodput(_together)
    yield (
        "DistServe: goodput, apart over together",
        "x",
        7.4,
        apart / together,
        "other machines",
        "OSDI 2024, abstract: up to",
    )
    yield (
        "Splitwise: throughput, apart over together",
        "x",
        1.4,
        apart / together,
        "other machines",
        "ISCA 2024, abstract: up to",
    )


def _worker(name: str) -> Worker:
    return Worker.on(models()[name], machines().accelerators["trainium2"], 16, machines())


def _prefill(name: str, worker: Worker, tokens: int) -> float:
    return legs.prefill_seconds(models()[name], tokens, worker)


def _token(name: str, worker: Worker, context: int) -> float:
    return legs.decode_seconds(models()[name], context, 1, worker)


def _apart(pool: Pool) -> Site:
    half = replace(pool, count=4)
    return replace(example(), prefill=(half,), decode=(half,))


def _together(pool: Pool) -> Site:
    return replace(example(), prefill=(), decode=(replace(pool, count=8),))


def _goodput(kind: Callable[[Pool], Site]) -> float:
    """Return the most requests a second of which 99 in 100 meet both targets, on eight hosts."""
    site, low, high = kind(example().prefill[0]), 0.05, 60.0
    while high / low > 1.03:
        rate = (low * high) ** 0.5
        traffic = Synthetic(rate=rate, seconds=_REQUESTS / rate, prompt=2000, prompt_cv=0.8, answer=200, answer_cv=0.8)
        found = summarize(replay(site, generate(traffic)))
        good = found.ttft.p99 <= _TTFT and found.tpot.p99 <= _TPOT and found.refused_share <= 0.01
        low, high = (rate, high) if good else (low, rate)
    return low


def main() -> int:
    """Print the table."""
    cells = [
        (what, f"{published:g} {unit}", f"{modelled:.4g} {unit}", f"{modelled / published:.2f}", relation, source)
        for what, unit, published, modelled, relation, source in rows()
    ]
    print("\n".join(table([_HEAD, *cells], right=(1, 2, 3))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
