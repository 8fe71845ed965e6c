"""Tell ECS whether this worker counts as healthy: ``python3 -m runtime.prefill.health SECONDS``, exit 0 or 1.

A deployment replaces the next worker only once those before it are healthy, which is why a start that finds artifacts
counts as none until it serves, and every gateway knows. One that compiles, or waits for who does, counts: it may take
longer than ECS waits. So does, ``SECONDS`` after its start, whatever answers: to end a worker is its supervisor's, who
knows more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from runtime.handoff import settings, worker_client, worker_status
from runtime.handoff.settings import SettingError
from runtime.handoff.worker_client import AskError
from runtime.handoff.worker_status import State
from runtime.prefill.instance import MetadataError, local_ipv4

KNOWN_SECONDS: Final = 10
"""How long a worker serves until every gateway has heard of it: each asks every 3 s, and waits for 2 s at most."""


def healthy(said: Mapping[str, Any], seconds: int) -> bool:
    """Tell whether a worker that says so counts; raise ``LookupError`` or ``TypeError`` where it says too little."""
    if said[worker_status.SECONDS] >= seconds:
        return True
    state, since = said[worker_status.STATE], said[worker_status.STATE_SECONDS]
    return state not in (State.FETCHING, State.STARTING) and (state != State.READY or since >= KNOWN_SECONDS)


def main() -> int:
    """Ask the worker's status port; return the exit code."""
    try:
        port = settings.required_int(os.environ, settings.STATUS_PORT)
        said = worker_client.ask(local_ipv4(os.environ), port, ()).said
        return 0 if healthy(said, int(sys.argv[1])) else 1
    except (SettingError, MetadataError, AskError, LookupError, TypeError, ValueError) as error:
        sys.stderr.write(f"health: {type(error).__name__}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
