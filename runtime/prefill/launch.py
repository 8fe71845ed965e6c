"""Derive vLLM's command line and environment from the task's; pure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.handoff import fabric

PROGRAM: Final = "vllm"
API_KEY: Final = "VLLM_API_KEY"
"""The key that vLLM asks for."""
_PACKAGES: Final = Path(__file__).parents[2]
"""Where vLLM imports our connector from."""


class ArgumentError(ValueError):
    """Tell what is wrong with the command line."""


def command(arguments: Sequence[str], address: str, pem: str, weights: Path | None = None) -> list[str]:
    """Return vLLM's argument vector, listening on ``address`` alone, by TLS; raise ``ArgumentError``.

    ``pem`` is the file of key and certificate; ``weights`` is the folder that takes the place of the model's name at
    the hub.
    """
    if list(arguments[:1]) != ["serve"] or len(arguments) < 2 or arguments[1].startswith("-"):
        raise ArgumentError(f"arguments are {list(arguments[:2])}: serve MODEL [flags of vllm serve] is needed")
    for flag in ("--host", "--ssl-certfile", "--ssl-keyfile"):
        if any(argument.split("=")[0] == flag for argument in arguments):
            raise ArgumentError(f"{flag} is given: leave it out, the worker's own is used")
    serve, model, *flags = arguments
    return [
        PROGRAM,
        serve,
        str(weights or model),
        *flags,
        "--host",
        address,
        "--ssl-certfile",
        pem,
        "--ssl-keyfile",
        pem,
    ]


def environment(task: Mapping[str, str], address: str, api_key: str) -> dict[str, str]:
    """Return vLLM's environment: the task's, the key that it asks for, and where its connector is found."""
    path = os.pathsep.join(filter(None, [str(_PACKAGES), task.get("PYTHONPATH")]))
    return {**task, API_KEY: api_key, fabric.SIDE_CHANNEL_HOST: address, "PYTHONPATH": path}
