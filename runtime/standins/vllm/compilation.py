"""Leave in vLLM-Neuron's cache what a compilation leaves there, and compile without running where that is asked for."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

from runtime.standins.vllm.flags import Serve

log = logging.getLogger(__name__)

CACHE_ROOT: Final = "VLLM_CACHE_ROOT"
COMPILE_ONLY: Final = "VLLM_NEURON_CPU_COMPILE"
TARGET: Final = "NEURON_PLATFORM_TARGET_OVERRIDE"


def compile_graphs(serve: Serve, environment: Mapping[str, str]) -> None:
    """Write a graph for the server's shape, unless it is there; raise ``ValueError`` where none can be compiled."""
    if environment.get(COMPILE_ONLY) == "1" and not environment.get(TARGET):
        raise ValueError(f"{COMPILE_ONLY} is set and {TARGET} is not: no device tells what to compile for")
    if not environment.get(CACHE_ROOT):
        return
    shape = (serve.model, serve.tensor_parallel_size, serve.max_model_len, serve.max_num_seqs, serve.block_size)
    name = hashlib.sha256(repr(shape).encode()).hexdigest()[:32]
    graph = Path(environment[CACHE_ROOT], "neuron/compile_cache", name, "model.neff")
    if graph.exists():
        log.info("compilation cache hit: %s", graph)
        return
    graph.parent.mkdir(parents=True)
    graph.write_bytes(f"a stand-in's graph of {shape}\n".encode() * 1000)
    log.info("compiled %s", graph)


async def serve_health(port: socket.socket, stop: asyncio.Event, tls: ssl.SSLContext | None = None) -> None:
    """Answer ``/health`` and nothing else until ``stop``, as a server does that has no device to run on."""

    async def health(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/health", health)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.SockSite(runner, port, ssl_context=tls).start()
        await stop.wait()
    finally:
        await runner.cleanup()
