"""Stand in for the VPC's resolver in a rehearsed process, and let it die with the rehearsal.

Python imports this module by itself when its folder is on ``PYTHONPATH``. It imports nothing of Tandem.
"""

import ctypes
import json
import os
import signal
import socket
from typing import Any

_PR_SET_PDEATHSIG = 1
_resolve = socket.getaddrinfo
_hosts = os.environ.get("TANDEM_REHEARSAL_HOSTS")


def _names(path: str) -> dict[str, tuple[str, int]]:
    try:
        with open(path, encoding="utf-8") as file:
            names: dict[str, tuple[str, int]] = json.load(file)
            return names
    except FileNotFoundError:  # functions run before the first host is placed
        return {}


def _getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    address, local_port = _names(str(_hosts)).get(f"{name}:{port}".lower(), (host, port))
    return _resolve(address, local_port, *rest, **options)


if _hosts:
    socket.getaddrinfo = _getaddrinfo
    if os.getppid() == int(os.environ.get("TANDEM_REHEARSAL_PID", "0")):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
