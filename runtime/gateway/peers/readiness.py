"""Ask a worker itself whether it takes requests.

Cloud Map knows a worker from the start of its task on, long before it serves, and takes some thirty seconds to show a
health status that changed (AWS Cloud Map API, HealthCheckCustomConfig).
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.gateway.peers.workers import Address, Worker
from runtime.handoff import worker_client, worker_status
from runtime.handoff.worker_client import AskError


def ready(address: Address, *, status_port: int, keys: Sequence[str]) -> Worker | None:
    """Return the worker if it answers within seconds that it takes requests, and proves to know one of ``keys``."""
    try:
        told = worker_client.ask(address.host, status_port, keys)
    except AskError:
        return None
    key = told.said.get(worker_status.KEY)
    takes_requests = told.status == 200 and told.proven
    return Worker(address, told.digest, key) if takes_requests and isinstance(key, str) else None
