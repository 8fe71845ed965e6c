"""Ask a worker itself whether it takes requests, and have it prove which certificate is its own.

Cloud Map knows a worker from the start of its task on, long before it serves, and takes some thirty seconds to show a
health status that changed (AWS Cloud Map API, HealthCheckCustomConfig).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from http.client import HTTPException, HTTPSConnection
from typing import Any, Final

from runtime.gateway.workers import Address, Worker
from runtime.handoff import worker_status
from runtime.handoff.certificate import digest

_SECONDS: Final = 2.0
_MAX_BYTES: Final = 2**16


def ready(address: Address, *, status_port: int, keys: Sequence[str]) -> Worker | None:
    """Return the worker if it answers within seconds that it takes requests, and proves to know one of ``keys``.

    No authority vouches for its certificate: the proof does, which is over the certificate that TLS has just shown.
    """
    # no proxy is asked, which would answer for a worker that is gone
    connection = HTTPSConnection(address.host, status_port, timeout=_SECONDS, context=_unverified())
    try:
        connection.connect()
        shown = digest(connection.sock.getpeercert(binary_form=True) or b"")
        headers = {"Authorization": worker_status.asking(keys, address.host, shown)}
        connection.request("GET", worker_status.READY, headers=headers)
        answer = connection.getresponse()
        told = json.loads(answer.read(_MAX_BYTES)) if answer.status == 200 else None
    except (OSError, HTTPException, ValueError, RecursionError):
        return None
    finally:
        connection.close()
    return _proven(told, address, shown, keys)


def _proven(told: Any, address: Address, shown: str, keys: Sequence[str]) -> Worker | None:
    if not isinstance(told, dict):
        return None
    proof, key = told.get(worker_status.PROOF), told.get(worker_status.KEY)
    if not isinstance(proof, str) or not isinstance(key, str):
        return None
    known = worker_status.answered_with(proof, keys, address.host, shown)
    return Worker(address, shown, key) if known else None


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
