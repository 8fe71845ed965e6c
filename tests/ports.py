"""Ports for programs that tests start."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on, nor is given by the system before its program has begun to.

    It stays bound for as long as this process lives. Who asks for this very port may listen on it all the same, as both
    allow the address to be used again, and until then a connection is refused.
    """
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, 0))
        port: int = bound.getsockname()[1]
        bound.detach()
        return port
