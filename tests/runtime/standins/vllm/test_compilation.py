"""The stand-in fills vLLM-Neuron's cache, and finds what is there."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import aiohttp
import pytest

from runtime.standins.vllm import flags
from runtime.standins.vllm.compilation import compile_graphs, serve_health


def _serve(*arguments: str) -> flags.Serve:
    return flags.read(["serve", "org/model", *arguments], {})


def _graphs(root: Path) -> list[Path]:
    return sorted((root / "neuron/compile_cache").glob("*/model.neff"))


def test_a_shape_is_compiled_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    environment = {"VLLM_CACHE_ROOT": str(tmp_path)}
    compile_graphs(_serve(), environment)
    compile_graphs(_serve(), environment)
    assert [record.message.split(" ")[0] for record in caplog.records] == ["compiled", "compilation"]
    compile_graphs(_serve("--max-model-len=64"), environment)
    assert len(_graphs(tmp_path)) == 2


def test_without_a_cache_nothing_is_written(tmp_path: Path) -> None:
    compile_graphs(_serve(), {})
    assert _graphs(tmp_path) == []


def test_without_a_device_the_target_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="NEURON_PLATFORM_TARGET_OVERRIDE is not"):
        compile_graphs(_serve(), {"VLLM_CACHE_ROOT": str(tmp_path), "VLLM_NEURON_CPU_COMPILE": "1"})


async def test_a_server_without_a_device_is_up_and_answers_nothing_else() -> None:
    port, stop = socket.create_server(("127.0.0.1", 0)), asyncio.Event()
    serving = asyncio.create_task(serve_health(port, stop))
    url = f"http://127.0.0.1:{port.getsockname()[1]}"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/health") as answer:
            assert answer.status == 200
        async with session.get(f"{url}/v1/models") as answer:
            assert answer.status == 404
    stop.set()
    await serving
