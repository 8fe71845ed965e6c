"""Measure the gateway beside other relays: ``make bench-gateway``, or ``python -m benchmarks.gateway [RELAY ...]``.

Each relay has core 0 alone; load and peers, one C program, have core 1. Streams are paced, one write an event: the
number of them that keep up is where the 99th percentile of single events' latency stays below 10 ms, and CPU is that
of an event then: a relay that is less busy reads fewer events at once, and so spends more on each. Added time to first
byte is what one client at a time waits beyond asking the decode endpoint itself. With ``--memory`` it asks 200,000
times, and holds 512 idle, 256 busy and 16 slow streams.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import Final

from benchmarks.gateway import memory
from benchmarks.gateway.measure import PEERS, Paced, build, load, most_streams, running
from benchmarks.gateway.peers import OTHERS, AbsentError, Relay, ours

TTFB_REQUESTS: Final = 2_000
SHORT_CONNECTIONS: Final = 32
SHORT_SECONDS: Final = 4
HEADER: Final = ("", "streams", "CPU s / 10⁶ events", "added TTFB p50 / p99 ms", "short requests/s")


@dataclass(frozen=True, slots=True)
class Row:
    """Hold what one relay did; times in milliseconds."""

    name: str
    streams: Paced
    ttfb: tuple[float, float]
    short: float


def measure(relay: Relay) -> Row:
    """Measure everything of one relay."""
    with running(relay) as process:
        load("ttfb", 200)  # connections and caches come about
        direct = load("ttfb", TTFB_REQUESTS, target=PEERS)
        through = load("ttfb", TTFB_REQUESTS)
        short = load("short", SHORT_CONNECTIONS, SHORT_SECONDS)
        if short["failures"] or through["failures"]:
            raise RuntimeError(f"{short['failures']} requests failed: see its log")
        most = most_streams(process)
    ttfb = (through["p50_ms"] - direct["p50_ms"], through["p99_ms"] - direct["p99_ms"])
    return Row(relay.name, most, ttfb, short["requests"] / short["seconds"])


def table(rows: list[Row], absent: dict[str, str]) -> str:
    """Return a Markdown table, and the ratios that the gateway is judged by."""
    lines = [_line(HEADER), "|---" * len(HEADER) + "|"]
    for row in rows:
        most = f"{'≥ ' if row.streams.saturated else ''}{row.streams.streams}"
        ttfb = f"{row.ttfb[0]:.2f} / {row.ttfb[1]:.2f}"
        lines.append(_line((row.name, most, f"{row.streams.cpu:.1f}", ttfb, f"{row.short:,.0f}")))
    lines += [_line((name, why, "", "", "")) for name, why in absent.items()]
    return "\n".join([*lines, "", *_ratios({row.name: row for row in rows})])


def _ratios(rows: dict[str, Row]) -> list[str]:
    tandem, nginx = rows.get("Tandem, vllm provider"), rows.get("nginx, one leg")
    routers = [row for name, row in rows.items() if name.endswith("router PD")]
    said = []
    if tandem and routers:
        best = max(row.streams.streams for row in routers)
        said.append(f"streams / better Rust router: {tandem.streams.streams / max(1, best):.2f} (goal 1.4)")
        fastest = max(row.short for row in routers)
        said.append(f"short requests / faster Rust router: {tandem.short / fastest:.2f} (goal 1)")
    if tandem and nginx:
        said.append(f"CPU an event / nginx: {tandem.streams.cpu / max(nginx.streams.cpu, 0.01):.2f} (goal 1.1)")
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
    given = parser.parse_args()
    build()
    if given.memory:
        for line in memory.measured(ours("cs3", given.python)):
            print(line, flush=True)
        return
    rows, absent = [], {}
    for relay in (*OTHERS, ours("vllm", given.python), ours("cs3", given.python)):
        if given.relays and not any(relay.name.lower().startswith(name.lower()) for name in given.relays):
            continue
        print(f"measuring {relay.name}", file=sys.stderr)
        try:
            rows.append(measure(relay))
        except (AbsentError, RuntimeError) as error:
            absent[relay.name] = str(error).replace("\n", " ")[:120]
    print(table(rows, absent))


if __name__ == "__main__":
    main()
