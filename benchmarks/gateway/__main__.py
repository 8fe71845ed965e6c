"""Measure the gateway beside other relays: ``make bench-gateway``, or ``python -m benchmarks.gateway [RELAY ...]``.

Each relay has core 0 alone; load and peers, one C program, have core 1. Streams are paced, one write an event: the
number of them that keep up is where the 99th percentile of single events' latency stays below 10 ms. CPU is that of an
event at given numbers of streams, since a relay that is less busy reads fewer events at once, and so spends more on
each. Added time to first byte is what one client at a time waits beyond asking the decode endpoint itself. Relays take
turns, and every figure is the median of its rounds. With ``--memory`` it asks 200,000 times, and holds 512 idle, 256
busy and 16 slow streams.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.gateway import memory
from benchmarks.gateway.measure import PEERS, build, load, most_streams, paced, running
from benchmarks.gateway.peers import OTHERS, AbsentError, Relay, ours

TTFB_REQUESTS: Final = 2_000
SHORT_CONNECTIONS: Final = 32
SHORT_SECONDS: Final = 4
STREAMS: Final = (20, 40, 60, 80)
"""At how many streams the CPU of an event is measured."""
HEADER: Final = (
    "",
    "streams",
    f"CPU s / 10⁶ events at {', '.join(map(str, STREAMS))} streams",
    "added TTFB p50 / p99 ms",
    "short requests/s",
)


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what one relay did in a round, or did in the middle of several; times in milliseconds, CPU in seconds."""

    streams: float
    saturated: bool
    cpu: tuple[float, ...]
    ttfb: tuple[float, ...]
    short: float


def measure(relay: Relay) -> Row:
    """Measure everything of one relay, once."""
    with running(relay) as process:
        load("ttfb", 200)  # connections and caches come about
        direct = load("ttfb", TTFB_REQUESTS, target=PEERS)
        through = load("ttfb", TTFB_REQUESTS)
        short = load("short", SHORT_CONNECTIONS, SHORT_SECONDS)
        if short["failures"] or through["failures"]:
            raise RuntimeError(f"{short['failures']} requests failed: see its log")
        cpu = tuple(paced(process, streams).cpu for streams in STREAMS)
        most = most_streams(process)
    ttfb = (through["p50_ms"] - direct["p50_ms"], through["p99_ms"] - direct["p99_ms"])
    return Row(most.streams, most.saturated, cpu, ttfb, short["requests"] / short["seconds"])


def measured(relays: Sequence[Relay], rounds: int) -> tuple[dict[str, Row], dict[str, str]]:
    """Measure relays in turn; return the rows by name, and of those that failed in every round, why."""
    rows: dict[str, list[Row]] = {}
    absent: dict[str, str] = {}
    for relay in [*relays] * rounds:
        print(f"measuring {relay.name}", file=sys.stderr)
        try:
            rows.setdefault(relay.name, []).append(measure(relay))
        except (AbsentError, RuntimeError) as error:
            absent[relay.name] = str(error).replace("\n", " ")[:120]
            print(f"{relay.name} failed: {error}", file=sys.stderr)
    found = {name: middle(each) for name, each in rows.items() if each}
    return found, {name: why for name, why in absent.items() if name not in found}


def middle(rows: Sequence[Row]) -> Row:
    """Return the median of each figure; the load generator was saturated where it was in any round."""
    return Row(
        median(row.streams for row in rows),
        any(row.saturated for row in rows),
        tuple(map(median, zip(*(row.cpu for row in rows), strict=True))),
        tuple(map(median, zip(*(row.ttfb for row in rows), strict=True))),
        median(row.short for row in rows),
    )


def table(rows: Mapping[str, Row], absent: Mapping[str, str]) -> str:
    """Return a Markdown table, and the ratios that the gateway is judged by."""
    lines = [_line(HEADER), "|---" * len(HEADER) + "|"]
    for name, row in rows.items():
        most = f"{'≥ ' if row.saturated else ''}{row.streams:.0f}"
        cpu = ", ".join(f"{each:.1f}" if each else "none" for each in row.cpu)
        lines.append(_line((name, most, cpu, f"{row.ttfb[0]:.2f} / {row.ttfb[1]:.2f}", f"{row.short:,.0f}")))
    lines += [_line((name, why, "", "", "")) for name, why in absent.items()]
    return "\n".join([*lines, "", *_ratios(rows)])


def _ratios(rows: Mapping[str, Row]) -> list[str]:
    tandem, nginx = rows.get("Tandem, vllm provider"), rows.get("nginx, one leg")
    routers = [row for name, row in rows.items() if name.endswith("router PD")]
    said = []
    if tandem and routers:
        best = max(row.streams for row in routers)
        said.append(f"streams / better Rust router: {tandem.streams / max(1, best):.2f} (goal 1.4)")
        fastest = max(row.short for row in routers)
        said.append(f"short requests / faster Rust router: {tandem.short / fastest:.2f} (goal 1)")
    if tandem and nginx:
        ratios = [f"{ours / max(theirs, 0.01):.2f}" for ours, theirs in zip(tandem.cpu, nginx.cpu, strict=True)]
        said.append(f"CPU an event / nginx: {', '.join(ratios)} (goal 1.1)")
    return said


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table; what cannot be measured here has the reason in its row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("relays", nargs="*", help="the beginnings of names; default: all")
    parser.add_argument(
        "--python", default=sys.executable, help="what runs Tandem, as its image's Python (%(default)s)"
    )
    parser.add_argument("--memory", action="store_true", help="measure the gateway's memory instead")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured, in turn (%(default)s)")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds must be 1 or more, got {given.rounds}")
    build()
    if given.memory:
        for line in memory.measured(ours("cs3", given.python)):
            print(line, flush=True)
        return
    relays = (*OTHERS, ours("vllm", given.python), ours("cs3", given.python))
    beginnings = tuple(name.lower() for name in given.relays or [""])
    rows, absent = measured([each for each in relays if each.name.lower().startswith(beginnings)], given.rounds)
    print(table(rows, absent))


if __name__ == "__main__":
    main()
