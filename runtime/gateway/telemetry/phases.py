"""Divide the time from a request to the first bytes of its answer into phases that sum to it.

This is the one place where phases are measured; log line, metrics and spans all take them from here.
"""

from __future__ import annotations

import re
import time
from typing import Any, Final

from runtime.gateway.telemetry import tracing
from runtime.gateway.telemetry.oracle import Verdict
from runtime.handoff.metrics import PHASES

_OWN: Final = ("queue", "reserve", "prefill")
_AT_ENDPOINT: Final = ("handshake", "transfer", "verify")
_TIMING: Final = re.compile(r"([a-z_]+);dur=([0-9]+(?:\.[0-9]+)?)(?![0-9.])")


class Phases:
    """Hold one request's phases in milliseconds, and the prefill worker that it was given to.

    A phase that is measured twice, since its leg was tried again, adds up.
    """

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self.worker: str | None = None
        self.ttft_ms: float | None = None
        self.decisions: dict[str, str] = {}
        self.retries: list[tuple[str, str, str]] = []
        self.first_token: Verdict | None = None
        self._started = time.perf_counter()
        self._decoding = self._started

    def measure(self, name: str) -> Measured:
        """Measure a block, whether it ends well or not."""
        measured = Measured(self, name)
        if name == "decode":
            self._decoding = measured.start
        return measured

    def decided(self, what: str, reason: str) -> None:
        """Note why a policy chose as it did; of several tries the last counts."""
        self.decisions[what] = reason

    def compared(self, verdict: Verdict) -> None:
        """Note whether decode began with the token that prefill chose."""
        self.first_token = verdict

    def retried(self, leg: str, code: str, action: str) -> None:
        """Note what was done about a failed leg."""
        self.retries.append((leg, code, action))

    def afterwards(self) -> Phases:
        """Return what measures a leg after the first token, which is no part of the time to it."""
        later = Phases()
        later.decisions, later.retries = self.decisions, self.retries
        return later

    @property
    def total_ms(self) -> float:
        """The time since the request came."""
        return _since(self._started)

    def first_bytes(self, endpoint: str | None) -> None:
        """Note that the answer begins; ``endpoint`` is the ``Server-Timing`` of the decode peer, if it sends one."""
        now = time.perf_counter()  # once, else a phase could be below zero
        self.ttft_ms = (now - self._started) * 1000
        waited = (now - self._decoding) * 1000
        self.milliseconds.pop("decode", None)  # its parts take its place
        self.milliseconds |= _within(waited, endpoint or "")
        own = sum(self.milliseconds.get(name, 0.0) for name in _OWN)
        self.milliseconds["first_token"] = waited - sum(self.milliseconds.get(name, 0.0) for name in _AT_ENDPOINT)
        self.milliseconds["gateway"] = self.ttft_ms - own - waited

    @property
    def of_first_token(self) -> dict[str, float]:
        """Every phase of the time to first token, in its order: zero where the request had none."""
        return {name: self.milliseconds.get(name, 0.0) for name in PHASES}

    @property
    def rounded(self) -> dict[str, float]:
        """The phases to a microsecond, for people."""
        return {name: to_microseconds(spent) for name, spent in self.milliseconds.items()}

    def server_timing(self, endpoint: str | None) -> str:
        """Return a ``Server-Timing`` value: the gateway's own phases, then the endpoint's as it sent them."""
        own = [f"{name};dur={self.milliseconds[name]:.3f}" for name in _OWN if name in self.milliseconds]
        return ", ".join([*own, endpoint] if endpoint else own)


class Measured:
    """Measure what happens within it as one phase, which is a span where spans are taken."""

    __slots__ = ("_name", "_phases", "_span", "start")

    def __init__(self, phases: Phases, name: str) -> None:
        self._phases, self._name = phases, name
        self._span = tracing.leg(name)
        self.start = time.perf_counter()

    def __enter__(self) -> None:
        if self._span:
            self._span.__enter__()

    def __exit__(self, *raised: Any) -> None:
        if self._span:
            self._span.__exit__(*raised)
        spent, name = self._phases.milliseconds, self._name
        spent[name] = spent.get(name, 0.0) + (time.perf_counter() - self.start) * 1000


def to_microseconds(milliseconds: float) -> float:
    """Round to a microsecond, at a third of what ``round`` takes for it."""
    return int(milliseconds * 1000 + 0.5) / 1000


def _within(waited: float, endpoint: str) -> dict[str, float]:
    """Return the endpoint's phases, none where they claim more than the gateway waited for all of them."""
    told = {name: float(spent) for name, spent in _TIMING.findall(endpoint[:1000]) if name in _AT_ENDPOINT}
    return told if sum(told.values()) <= waited else {}


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
