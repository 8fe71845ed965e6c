"""What only NIXL does: its backends, and READs that cannot be taken back."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

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
