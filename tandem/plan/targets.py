"""Hold what a deployment is to reach, and say whether it did."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tandem.simulation.summary import Summary

_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """State the 99th percentiles in seconds that are allowed, and the share of requests that may be refused.

    Requests longer than the model's context are the clients' own fault and do not count.
    """

    ttft_p99: float
    tpot_p99: float
    refused: float = 0.001

    def missed(self, found: Summary) -> list[str]:
        """Name the targets that are missed: ``ttft``, ``tpot``, ``refused``."""
        return [
            name
            for name, met in (
                ("ttft", found.ttft.p99 <= self.ttft_p99),
                ("tpot", found.tpot.p99 <= self.tpot_p99),
                ("refused", found.refused_share <= self.refused),
            )
            if not met
        ]


def duration(text: str) -> float:
    """Return the seconds that ``text`` means, such as ``2s`` or ``1.5ms``; raise ``ValueError``."""
    found = _DURATION.fullmatch(text.strip())
    if not found or float(found[1]) == 0:
        raise ValueError(f"got {text!r}, a positive number with us, ms or s is needed, such as 2s or 1.5ms")
    return float(found[1]) * _UNITS[found[2]]
