"""What only NIXL does: its backends, and READs that cannot be taken back."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.handoff.contract import HandoffError
from runtime.handoff.transport.nixl import NixlAgent
from tests.patience import HUNG_SECONDS

SIZE = 8 * 2**20


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCX_NET_DEVICES", "lo")


async def test_a_read_that_is_given_up_runs_on_unseen() -> None:
    worker, reader = NixlAgent("worker"), NixlAgent("reader")
    try:
        theirs, ours = np.ones(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
        worker.register(theirs)
        registration = reader.register(ours)
        remote = reader.add_remote(worker.metadata)
        with pytest.raises(HandoffError, match=r"took over 0\.05 s"):  # the peer does not poll
            await reader.read(remote, [(ours.ctypes.data, theirs.ctypes.data, SIZE)], b"late:1", timeout=0.05)
        settled: list[bool] = []
        reader.deregister(registration, lambda: settled.append(True))
        assert not settled
        async with asyncio.timeout(HUNG_SECONDS):
            while not settled:
                worker.notifications()
                reader.notifications()
                await asyncio.sleep(0.001)
        assert ours.all()  # the bytes did arrive after the caller had left
    finally:
        reader.close()
        worker.close()


def test_a_backend_that_is_not_there_is_named() -> None:
    with pytest.raises(HandoffError, match=r"no backend 'FICTION', available: .*UCX"):
        NixlAgent("other", backend="FICTION")


async def test_ranges_are_cut_once_a_read_from_the_peer_took_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UCX_TLS", "tcp,self")
    worker, reader = NixlAgent("cut-worker"), NixlAgent("cut-reader")
    asked: list[int] = []
    try:
        reader.range_bytes = 1000
        initialize = reader._initialize

        def counted(remote: str, pairs: NDArray[np.int64], notification: bytes) -> object:
            asked.append(len(pairs))
            return initialize(remote, pairs, notification)

        monkeypatch.setattr(reader, "_initialize", counted)
        theirs, ours = np.arange(100_000, dtype=np.uint32).view(np.uint8), np.zeros(400_000, np.uint8)
        worker.register(theirs)
        reader.register(ours)
        remote = reader.add_remote(worker.metadata)
        pairs = [(ours.ctypes.data + 4, theirs.ctypes.data, 399_996)]
        for _ in range(3):
            ours[:] = 0
            reading = asyncio.create_task(reader.read(remote, pairs, b"", timeout=HUNG_SECONDS))
            while not reading.done():
                worker.notifications()
                await asyncio.sleep(0)
            assert await reading == 399_996
            assert (ours[4:] == theirs[:-4]).all()
        assert asked == [1, 400, 400]
    finally:
        reader.close()
        worker.close()
