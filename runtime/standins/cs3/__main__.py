"""Run the CS-3 emulator: ``python -m runtime.standins.cs3 --host H --port P --served-model-name N``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import ssl
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path

from aiohttp import web

from runtime.handoff import background, settings
from runtime.handoff.contract import HandoffError
from runtime.handoff.kv.description import KvDescription, decode
from runtime.handoff.reservation import Reservations
from runtime.handoff.transport.choose import asked, start
from runtime.standins.cs3.admission import Admission
from runtime.standins.cs3.arena import KEPT_BYTES, Arena
from runtime.standins.cs3.imports import Importer
from runtime.standins.cs3.server import Endpoint
from runtime.standins.cs3.streams import Streams
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.model_file import ModelFileError
from runtime.standins.reader.link import Link

log = logging.getLogger("tandem.cs3")

SHUTDOWN_SECONDS = 1.0  # what answers, and then notices to workers, may still take once we are told to end


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line; exit 2 with a message on what it does not understand."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.standins.cs3", description="CS-3 emulator", allow_abbrev=False
    )
    parser.add_argument("--host", required=True, help="address to listen on")
    parser.add_argument("--port", required=True, type=int, help="port to listen on")
    parser.add_argument("--served-model-name", required=True, help="the model's public name")
    parser.add_argument("--tls-certificate", type=Path, help="PEM chain; with --tls-key serve HTTPS")
    parser.add_argument("--tls-key", type=Path, help="PEM private key")
    parser.add_argument(
        "--memory-gib", type=_positive, default=44.0, help="KV memory (default: a CS-3's 44 GB of SRAM)"
    )
    parser.add_argument("--reservation-ttl-seconds", type=_positive, default=30.0, help="life of an unused reservation")
    parser.add_argument(
        "--handshake-seconds", type=_positive, default=5.0, help="patience with a worker (default: vLLM's own)"
    )
    parser.add_argument(
        "--worker-kv", type=_description, metavar="JSON", help="how stock vLLM workers keep KV (runtime.handoff.kv)"
    )
    parsed = parser.parse_args(words)
    if (parsed.tls_certificate is None) != (parsed.tls_key is None):
        parser.error("--tls-certificate and --tls-key go together: give both or neither")
    return parsed


def main() -> int:
    """Serve until SIGTERM or SIGINT; return 0 then, and 1 with a message where it cannot start."""
    given = arguments(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # every request has a line of its own already
    # a stand-in talks to its own machine only; UCX would otherwise choose among all its networks
    os.environ.setdefault("UCX_NET_DEVICES", "lo")
    try:
        asyncio.run(_serve(given))
    except (settings.SettingError, ModelFileError, HandoffError, OSError) as error:
        print(f"cs3 emulator cannot run: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(given: argparse.Namespace) -> None:
    key = settings.required(os.environ, settings.DECODE_KEY)
    ticket_keys = _ticket_keys()
    tls = _tls(given)
    stop = _stop_signal()
    memory = int(given.memory_gib * 2**30)
    engine = Engine.load(take=Arena(min(memory, KEPT_BYTES)).take)
    reservations = Reservations(memory=memory, ttl=given.reservation_ttl_seconds)
    async with _linked(given, engine, reservations) as (link, streams):
        importer = Importer(engine, reservations, link, streams, worker_kv=given.worker_kv)
        admission = Admission(
            model=given.served_model_name,
            engine=engine,
            ticket_keys=ticket_keys,
            reservations=reservations,
            importer=importer,
        )
        with ThreadPoolExecutor(1, thread_name_prefix="decode") as thread:
            endpoint = Endpoint(
                model=given.served_model_name,
                engine=engine,
                reservations=reservations,
                admission=admission,
                thread=thread,
                streams=streams,
                provider=link.provider,
            )
            async with _listening(endpoint.application(key), given, tls):
                await stop.wait()
            await importer.close(timeout=SHUTDOWN_SECONDS)


def _ticket_keys() -> tuple[bytes, ...]:
    """Return the keys that tickets may be signed with: the current one, and between rotations the one before."""
    names = [settings.TICKET_KEY]
    if settings.PREVIOUS_TICKET_KEY in os.environ:
        names.append(settings.PREVIOUS_TICKET_KEY)
    return tuple(settings.required(os.environ, name).encode() for name in names)


def _description(word: str) -> KvDescription:
    try:
        return decode(word)
    except HandoffError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(word: str) -> float:
    value = float(word)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{word} is not a number above 0")
    return value


def _tls(given: argparse.Namespace) -> ssl.SSLContext | None:
    if given.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(given.tls_certificate, given.tls_key)
    except OSError as error:  # ssl's own message names no file
        raise OSError(f"{given.tls_certificate} with {given.tls_key} is no PEM chain with its key: {error}") from error
    return context


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def _linked(
    given: argparse.Namespace, engine: Engine, reservations: Reservations
) -> AsyncIterator[tuple[Link, Streams]]:
    """Own the agent of the transport that was asked for, and let it progress."""
    agent = start(asked(os.environ), f"cs3-{uuid.uuid4()}", host=given.host)
    log.info("transport provider=%s", agent.provider)
    with closing(agent):
        link = Link(agent, handshake_seconds=given.handshake_seconds)
        streams = Streams(engine, reservations, link)
        async with background.running(link.poll(streams.heard, streams.tend)):
            with closing(streams):
                yield link, streams


@asynccontextmanager
async def _listening(
    app: web.Application, given: argparse.Namespace, tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Serve; on the way out answers get a moment to end and are then cancelled, which frees what they hold."""
    # handler_cancellation: a client that leaves must not keep the memory of an answer nobody reads
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, given.host, given.port, ssl_context=tls).start()
        scheme = "https" if tls else "http"
        log.info("listening %s://%s:%d model=%s", scheme, given.host, given.port, given.served_model_name)
        yield
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
