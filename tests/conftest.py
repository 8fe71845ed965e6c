"""Make tests hold on a busy machine and in the background of a shell."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# property tests hold what the code does, not how fast
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# a shell has what it starts in the background ignore SIGINT, and that would pass on to every child
signal.signal(signal.SIGINT, signal.default_int_handler)
