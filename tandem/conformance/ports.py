"""Ports for workers that are only played."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def free_port(host: str) -> Iterator[int]:
    """Yield a port of ``host`` that nobody listens on, nor is given by the system meanwhile.

    It stays bound; who asks for this very port may listen on it all the same, as both allow the address to be used
    again.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, 0))
        yield bound.getsockname()[1]
