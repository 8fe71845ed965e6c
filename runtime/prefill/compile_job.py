"""Fill the bucket with compiled artifacts ahead of a rollout: ``python3 -m runtime.prefill compile MODEL [flags]``.

vLLM compiles on the host's CPUs, beside the worker that serves on its Neuron devices, with the flags that the worker
will have (aws-neuron-sdk, vllm-neuron CPU compilation, 22 Jun 2026); it generates nothing then, so it counts as done
once its server is up, which it is after its warm-up has compiled every graph.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runtime.handoff import settings
from runtime.handoff.certificate import Certificate
from runtime.prefill import launch
from runtime.prefill.artifacts import CACHE_ROOT, Artifacts
from runtime.prefill.child import end, first
from runtime.prefill.compiling import Say, holding, prepare
from runtime.prefill.engine import Engine
from runtime.prefill.start import Start
from runtime.prefill.status import Status

VERB: Final = "compile"
NOT_COMPILED: Final = 5
"""The exit status where vLLM ended or hung before everything was compiled."""
_ADDRESS: Final = "127.0.0.1"
"""The task has a network of its own, and nobody asks the server anything."""
_POLL_SECONDS: Final = 2.0
_KILL_SECONDS: Final = 10.0
_LEFT_OUT: Final = ("--kv-transfer-config=", "--port=")
"""There is neither an EFA interface nor a device here to register, and any free port will do."""


async def run(
    arguments: Sequence[str], task: Mapping[str, str], weights: Path | None, artifacts: Artifacts, say: Say
) -> int:
    """Compile and publish where nobody has; return the exit status.

    Raises ``FetchError``, ``BucketError``, ``CredentialsError`` and ``OSError``.
    """
    claim = await asyncio.to_thread(prepare, artifacts, Status(), say)
    if claim is None:
        return 0
    with holding(claim, say), _free_port() as port:
        flags = [argument for argument in arguments if not argument.startswith(_LEFT_OUT)] + [f"--port={port}"]
        failure = await _compile(flags, task, weights, artifacts, say)
        if failure:
            say(failure)
        elif await asyncio.to_thread(artifacts.publish, lambda: claim.held, say):
            return 0
    return NOT_COMPILED


async def _compile(
    flags: Sequence[str], task: Mapping[str, str], weights: Path | None, artifacts: Artifacts, say: Say
) -> str | None:
    certificate, key = Certificate.issue(_ADDRESS), secrets.token_urlsafe()
    command = launch.command(flags, _ADDRESS, certificate.path, weights)
    environment = {**launch.environment(task, _ADDRESS, key), CACHE_ROOT: str(artifacts.root)}
    engine = Engine.of(flags, _ADDRESS, key, certificate.client())
    seconds = float(settings.required_int(task, settings.START_SECONDS))
    start = Start(warm=seconds, cold=seconds, compiles=lambda: True)
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    up = asyncio.create_task(start.follow(engine, Status(), _POLL_SECONDS, generates=False))
    await first(process.wait(), asyncio.shield(up))
    failure = _failure(up, process.returncode)
    up.cancel()
    await end(process, _KILL_SECONDS, say)
    return failure


@contextmanager
def _free_port() -> Iterator[int]:
    """Yield a port that the system gives nobody meanwhile; vLLM may listen on it, as both allow its use again."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((_ADDRESS, 0))
        yield bound.getsockname()[1]


def _failure(up: asyncio.Task[None], code: int | None) -> str | None:
    if code is None:
        return str(up.exception()) if up.exception() else None
    return f"vLLM ended with status {code} before everything was compiled" if code else None
