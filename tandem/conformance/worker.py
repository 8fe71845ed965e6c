"""Start what plays the prefill worker: the stand-in for vLLM, which computes real KV and serves it by real NIXL."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import aiohttp

from runtime.handoff import fabric
from tandem.conformance.ports import free_port

START_SECONDS = 120.0


class WorkerError(Exception):
    """Tell that the worker did not start."""


@asynccontextmanager
async def worker(model: str, host: str, log: Path) -> AsyncIterator[tuple[str, str]]:
    """Yield URL and key of a worker at ``host``, which the endpoint must be able to reach."""
    config = {"kv_connector": "NixlConnector", "kv_role": "kv_producer"}
    key = secrets.token_urlsafe(16)
    with free_port(host) as port, free_port(host) as side_channel, log.open("wb") as told:
        command = ["serve", model, f"--host={host}", f"--port={port}", f"--kv-transfer-config={json.dumps(config)}"]
        environment = os.environ | {
            fabric.SIDE_CHANNEL_HOST: host,
            fabric.SIDE_CHANNEL_PORT: str(side_channel),
            "VLLM_API_KEY": key,
        }
        process = await _start(command, environment, told)
        try:
            url = f"http://{host}:{port}"
            await _until_healthy(url, process, log)
            yield url, key
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _start(command: list[str], environment: dict[str, str], told: IO[bytes]) -> asyncio.subprocess.Process:
    words = ["-m", "runtime.standins.vllm", *command]
    root = Path(__file__).parents[2]
    return await asyncio.create_subprocess_exec(
        sys.executable, *words, env=environment, cwd=root, stdout=told, stderr=told
    )


async def _until_healthy(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            try:
                async with http.get(f"{url}/health") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
    raise WorkerError(f"the worker ended with status {process.returncode}: {log.read_text()[-500:]}")
