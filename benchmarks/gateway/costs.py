"""Say what each feature of the gateway costs: ``python -m benchmarks.gateway.costs``.

Shares of the gateway's CPU time by cProfile, which weighs Python's own calls heavier than they are: they tell where
time goes, not how much of it there is. What is left is HTTP, asyncio, and the legs themselves.
"""

from __future__ import annotations

import pstats
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.gateway.measure import build, load, running
from benchmarks.gateway.peers import CACHE, Relay, ours

_PROFILE: Final = (CACHE / "profile").absolute()
_OF_A_REQUEST: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "key": [("guard.py", "_bearer")],
    "admission": [("turnstile.py", "enter"), ("turnstile.py", "leave")],
    "reading and checking the body": [("chat.py", "parse"), ("chat.py", "read")],
    "counting the prompt": [("counting.py", "count")],
    "routing": [("fleet.py", "choose"), ("workers.py", "lend"), ("prompt.py", "described")],
    "ticket": [("cs3.py", "_signed")],
    "trace context": [("tracing.py", name) for name in ("parent", "request", "leg", "passed_on")],
    "metrics": [("metrics.py", "ended")],
    "access log": [("record.py", "line"), ("log.py", "write"), ("log.py", "flush")],
}
_OF_AN_EVENT: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "journal, by which a stream is continued": [("journal.py", "push")],
    "tail, which tells a whole stream from one that broke": [("ending.py", "push")],
}


def _profiled(*arguments: object) -> pstats.Stats:
    def command(folder: Path, port: int, peers: int) -> Sequence[str]:
        return [*ours("cs3").command(folder, port, peers), "--profile", str(_PROFILE)]

    with running(Relay(name="profiled", command=command)):
        load(*map(str, arguments))
    return pstats.Stats(str(_PROFILE))


def _shares(stats: pstats.Stats, features: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, float]:
    """Return the share of each feature in all time that was not spent waiting; raise ``KeyError`` for a stale name."""
    spent = {(Path(file).name, name): cumulative for (file, _, name), (*_, cumulative, _) in _rows(stats)}
    waiting = sum(own for (_, _, name), (_, _, own, _, _) in _rows(stats) if "poll" in name)
    total = sum(own for _, (_, _, own, _, _) in _rows(stats)) - waiting
    return {feature: sum(spent[place] for place in places) / total for feature, places in features.items()}


def _rows(stats: pstats.Stats) -> list[tuple[tuple[str, int, str], tuple[int, int, float, float, object]]]:
    return list(stats.stats.items())  # type: ignore[attr-defined]  # typeshed leaves it out


def main() -> None:
    """Print both tables."""
    build()
    for what, features, arguments in (
        ("a short request", _OF_A_REQUEST, ("short", 16, 5)),
        ("a stream of 2,500 events/s", _OF_AN_EVENT, ("streams", 32, 5, 2500)),
    ):
        print(f"| of {what} | share of CPU time |\n|---|---|")
        for feature, share in _shares(_profiled(*arguments), features).items():
            print(f"| {feature} | {share:.0%} |")
        print()


if __name__ == "__main__":
    main()
