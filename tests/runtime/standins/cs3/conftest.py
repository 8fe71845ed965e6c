"""Start one prefill worker and one emulator for all tests here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from runtime.standins.engine.engine import Engine
from tests.patience import HUNG_SECONDS
from tests.runtime.standins.cs3.flow import Gateway, emulator, prefill_worker


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return the engine of the single-process run that answers are compared with."""
    return Engine.load()


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Yield the URLs of an emulator and a worker."""
    logs = tmp_path_factory.mktemp("logs")
    with emulator(logs / "emulator.log") as (_, decode), prefill_worker(logs / "worker.log") as (_, prefill):
        yield decode, prefill


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client whose requests cannot hang."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2 * HUNG_SECONDS)) as session:
        yield session


@pytest.fixture
async def gateway(processes: tuple[str, str], http: aiohttp.ClientSession) -> AsyncIterator[Gateway]:
    """Yield a gateway; every test must leave both sides free of its requests."""
    gateway = Gateway(http, *processes)
    yield gateway
    await gateway.until_free()
