"""Ask a worker itself whether it takes requests.

Cloud Map knows a worker from the start of its task on, long before it serves, and takes some thirty seconds to show a
health status that changed (AWS Cloud Map API, HealthCheckCustomConfig).
"""

from __future__ import annotations

import urllib.request
from http.client import HTTPException
from typing import Final

from runtime.gateway.workers import Worker
from runtime.handoff.worker_status import READY

_SECONDS: Final = 2.0
# the VPC needs no proxy, and one would answer for a worker that is gone
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ready(worker: Worker, *, status_port: int) -> bool:
    """Tell whether the worker answers within two seconds that it takes requests."""
    try:
        with _DIRECT.open(f"http://{worker.host}:{status_port}{READY}", timeout=_SECONDS):
            return True
    except (OSError, HTTPException):  # which a status of 400 and more is, too
        return False
