"""Run the program as it is deployed: start, SIGTERM, a taken port, no handoff."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from tests.patience import HUNG_SECONDS
from tests.ports import free_port
from tests.runtime.standins.vllm.conftest import HOST, Client, environment, kv_config

PROGRAM = [sys.executable, "-m", "runtime.standins.vllm", "serve", "org/model", f"--host={HOST}"]


@contextmanager
def program(*flags: str, side_channel: int) -> Iterator[subprocess.Popen[str]]:
    variables = os.environ | environment(side_channel)
    process = subprocess.Popen([*PROGRAM, *flags], env=variables, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stderr is not None
    said = next((line for line in process.stderr if words in line), None)
    assert said, f"the program ended without saying {words!r}"


async def test_sigterm_during_a_prefill_ends_it_with_status_0() -> None:
    port = free_port()
    with program(f"--port={port}", kv_config(), side_channel=free_port()) as process:
        until(process, "serving org/model")
        async with aiohttp.ClientSession(
            f"http://{HOST}:{port}", headers={"Authorization": "Bearer worker-key"}
        ) as http:
            client = Client(http)
            await client.prefill([1, 2, 3])  # a lease that nobody reads
            request = asyncio.create_task(client.prefill([7] * 4000))
            await client.until("num_requests_running", 1)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, HUNG_SECONDS) == 0
            with pytest.raises(aiohttp.ClientError):
                await request


def test_taken_ports_are_named() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with program(f"--port={port}", kv_config(), side_channel=free_port()) as process:
            _, said = process.communicate(timeout=HUNG_SECONDS)
            assert process.returncode == 1
            assert f"cannot listen on {HOST}:{port}" in said
        with program(f"--port={free_port()}", kv_config(), side_channel=port) as process:
            _, said = process.communicate(timeout=HUNG_SECONDS)
            assert process.returncode == 1
            assert f"side channel cannot listen on {HOST}:{port}" in said


def test_a_pool_too_small_for_one_request_is_refused() -> None:
    with program(f"--port={free_port()}", "--num-gpu-blocks-override=2", side_channel=free_port()) as process:
        _, said = process.communicate(timeout=HUNG_SECONDS)
        assert process.returncode == 1
        assert "2 KV blocks are too few" in said
