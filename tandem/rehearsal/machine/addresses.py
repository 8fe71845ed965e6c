"""Give every host of the rehearsal an address of its own, so that ports stay those of production.

Linux answers on all of 127.0.0.0/8, so each host, task and outside endpoint gets its own loopback address and no port
has to change. Names resolve by a file that ``names/sitecustomize.py`` reads in every process.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tandem.rehearsal.errors import RehearsalError

_FIRST_HOST = 1
_LAST_HOST = 254


class AddressError(RehearsalError):
    """Say which address or port cannot be used."""


class Addresses:
    """Hand out loopback addresses in order and keep the names that stand for them."""

    def __init__(self, hosts_file: Path) -> None:
        # two rehearsals of two checkouts at once would otherwise want the same address and port
        self._prefix = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}"
        self._next = _FIRST_HOST
        self._file = hosts_file
        self._names: dict[str, tuple[str, int]] = {}
        self._write()

    def take(self) -> str:
        """Return an address that no other host has."""
        if self._next > _LAST_HOST:
            raise AddressError(f"the rehearsal has more than {_LAST_HOST} hosts")
        address = f"{self._prefix}.{self._next}"
        self._next += 1
        return address

    def name(self, url: str, address: str, port: int) -> None:
        """Let the host and port of ``url`` lead to ``address`` and ``port``."""
        parts = urlsplit(url)
        original = parts.port or (443 if parts.scheme == "https" else 80)
        self._names[f"{parts.hostname}:{original}"] = (address, port)
        self._write()

    def _write(self) -> None:
        # in one step: a process may read it at any time
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._names))
        fresh.replace(self._file)


def require_free(address: str, port: int, what: str) -> None:
    """Raise ``AddressError`` where something listens already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            reason = "in use" if error.errno == errno.EADDRINUSE else (error.strerror or "unusable").lower()
            raise AddressError(
                f"port {port} for {what} is {reason} on {address}: free it and rehearse again"
            ) from error
