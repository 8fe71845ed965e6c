"""Send bytes over a link, one transfer after another."""

from __future__ import annotations

from tandem.simulation.meter import Meter


class Link:
    """Hold when the link is free again; its rate is in bytes a second."""

    def __init__(self, rate: float, meter: Meter) -> None:
        self._rate, self._meter = rate, meter
        self._free_at = 0.0

    def send(self, size: float, now: float) -> float:
        """Return when the last of ``size`` bytes is through; those asked for before go first."""
        begin = max(now, self._free_at)
        self._free_at = begin + size / self._rate
        self._meter.add(begin, self._free_at)
        return self._free_at
