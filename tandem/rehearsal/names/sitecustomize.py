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


def _names() -> dict[str, tuple[str, int]]:
    with open(os.environ["TANDEM_REHEARSAL_HOSTS"], encoding="utf-8") as file:
        names: dict[str, tuple[str, int]] = json.load(file)
        return names


def _getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    address, local_port = _names().get(f"{name}:{port}", (host, port))
    return _resolve(address, local_port, *rest, **options)


if "TANDEM_REHEARSAL_HOSTS" in os.environ:
    socket.getaddrinfo = _getaddrinfo
    if os.getppid() == int(os.environ.get("TANDEM_REHEARSAL_PID", "0")):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
