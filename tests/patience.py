"""How long tests wait for what must happen."""

from __future__ import annotations

from typing import Final

HUNG_SECONDS: Final = 120.0
"""What has not happened by then never will.

No claim about speed: a busy machine may take a core away for seconds, and nothing waits as long unless it is broken.
"""
LONG_SECONDS: Final = 600
"""How long leases, reservations and tickets last in tests that are not about their end: longer than any test."""
