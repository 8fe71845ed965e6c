"""Start all parts of the stand-in and stop them in the right order."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from runtime.standins.engine.engine import Engine
from runtime.standins.vllm.blocks import BlockAllocator
from runtime.standins.vllm.compilation import COMPILE_ONLY, compile_graphs, serve_health
from runtime.standins.vllm.consumer import Consumer
from runtime.standins.vllm.deviations import deviations
from runtime.standins.vllm.flags import Serve
from runtime.standins.vllm.kv_pool import KvPool
from runtime.standins.vllm.metrics import Metrics
from runtime.standins.vllm.producer import Producer, compatibility_hash
from runtime.standins.vllm.server import Server
from runtime.standins.vllm.turns import Turns
from runtime.standins.vllm.worker import Worker

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 1.0
"""How long running requests may go on after SIGTERM before they are cancelled."""
POOL_REQUESTS = 2
"""Requests of full length that the KV pool holds unless told otherwise."""


async def run(serve: Serve, environment: Mapping[str, str]) -> None:
    """Compile, load the model, serve until SIGTERM or SIGINT, then release everything."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with bind(serve) as port:
        compile_graphs(serve, environment)
        if environment.get(COMPILE_ONLY) == "1":
            await serve_health(port, stop, _tls(serve))
            return
        engine = await asyncio.to_thread(Engine.load)
        async with serving(serve, engine, port):
            scheme = "https" if serve.certificate else "http"
            log.info("serving %s on %s://%s:%d", ", ".join(serve.names), scheme, serve.host, serve.port)
            await stop.wait()
            log.info("stopping")


def bind(serve: Serve) -> socket.socket:
    """Take the HTTP port without listening yet, as vLLM does before it loads; raise ``OSError`` if it is taken."""
    family = socket.AF_INET6 if ":" in serve.host else socket.AF_INET
    port = socket.socket(family, socket.SOCK_STREAM)
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        port.bind((serve.host, serve.port))
    except OSError as error:
        port.close()
        raise OSError(f"cannot listen on {serve.host}:{serve.port}: {error}") from error
    return port


@asynccontextmanager
async def serving(serve: Serve, engine: Engine, port: socket.socket) -> AsyncIterator[None]:
    """Serve a loaded engine on a bound socket; raise ``HandoffError`` where the side channel's port is taken."""
    context = engine.geometry.context
    for sentence in deviations(serve, context=context):
        log.warning("this is a stand-in: %s", sentence)
    length = min(serve.max_model_len or context, context)
    pool = _pool(serve, engine, length)
    allocator = BlockAllocator(pool.num_blocks)
    turns = Turns(allocator)
    metrics = _metrics(serve, turns, allocator)
    async with AsyncExitStack() as stack:
        producer, consumer = None, None
        compatibility = compatibility_hash(serve.model, engine.geometry)
        if serve.reads and serve.kv_transfer and serve.side_channel:
            consumer = Consumer(serve.kv_transfer, serve.side_channel[0], engine.geometry, compatibility, metrics)
            await stack.enter_async_context(consumer.running())
            log.info("engine %s reads by transport %s", consumer.engine_id, consumer.provider)
        elif serve.kv_transfer and serve.side_channel:
            producer = Producer(serve.kv_transfer, pool, serve.side_channel, free=turns.free, metrics=metrics)
            await stack.enter_async_context(producer.running(compatibility))
            address = "{}:{}".format(*serve.side_channel)
            log.info("engine %s, transport %s, side channel %s", producer.engine_id, producer.provider, address)
        worker = Worker(engine, pool, turns, metrics, max_model_len=length, producer=producer, consumer=consumer)
        app = Server(serve, worker, metrics).app()
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, port, ssl_context=_tls(serve)).start()
        yield


def _tls(serve: Serve) -> ssl.SSLContext | None:
    if serve.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*serve.certificate)
    return context


def _pool(serve: Serve, engine: Engine, length: int) -> KvPool:
    blocks = -(-length // serve.block_size)
    num_blocks = serve.num_blocks or POOL_REQUESTS * blocks + 1
    if num_blocks <= blocks:
        raise ValueError(f"{num_blocks} KV blocks are too few: {length} tokens need {blocks} besides the null block")
    return KvPool(engine.geometry, num_blocks=num_blocks, block_size=serve.block_size)


def _metrics(serve: Serve, turns: Turns, allocator: BlockAllocator) -> Metrics:
    metrics = Metrics(serve.names[0])
    metrics.gauge("num_requests_running", "Requests that the engine runs.", lambda: turns.running)
    metrics.gauge("num_requests_waiting", "Requests in the queue.", lambda: turns.waiting)
    metrics.gauge("kv_cache_usage_perc", "Share of KV blocks in use, 0 to 1.", lambda: allocator.used / allocator.total)
    return metrics
