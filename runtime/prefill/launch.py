"""Derive vLLM's command line and environment from the task's; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.handoff import fabric, settings

PROGRAM: Final = "vllm"
API_KEY: Final = "VLLM_API_KEY"
"""The key that vLLM asks for."""


class ArgumentError(ValueError):
    """Tell what is wrong with the command line."""


def command(arguments: Sequence[str], address: str, weights: Path | None = None) -> list[str]:
    """Return vLLM's argument vector, listening on ``address`` alone; raise ``ArgumentError``.

    ``weights`` is the folder that takes the place of the model's name at the hub.
    """
    if list(arguments[:1]) != ["serve"] or len(arguments) < 2 or arguments[1].startswith("-"):
        raise ArgumentError(f"arguments are {list(arguments[:2])}: serve MODEL [flags of vllm serve] is needed")
    if any(argument.split("=")[0] == "--host" for argument in arguments):
        raise ArgumentError("--host is given: leave it out, the host's own address is used")
    serve, model, *flags = arguments
    return [PROGRAM, serve, str(weights or model), *flags, "--host", address]


def environment(task: Mapping[str, str], address: str) -> dict[str, str]:
    """Return vLLM's environment: the task's, with our key under vLLM's name; raise ``SettingError``."""
    key = settings.required(task, settings.PREFILL_KEY)
    kept = {name: value for name, value in task.items() if name != settings.PREFILL_KEY}
    return {**kept, API_KEY: key, fabric.SIDE_CHANNEL_HOST: address}
