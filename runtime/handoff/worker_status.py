"""Name how a vLLM worker tells its state on its status port: the supervisor answers, the gateway asks."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

READY: Final = "/ready"
"""``GET`` answers ``{"state": …, "provider": …}``, with 200 where requests are welcome and 503 where they are not.

``provider`` is what KV goes by: ``efa``, ``other``, or null as long as vLLM does not serve.
"""


class State(StrEnum):
    """Say what a worker does; only in ``READY`` it takes new requests."""

    STARTING = "starting"
    READY = "ready"
    SILENT = "silent"
    DRAINING = "draining"
