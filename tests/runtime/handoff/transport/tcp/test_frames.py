"""Lengths and limits of what is said over TCP."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.contract import HandoffError
from runtime.handoff.transport.tcp import frames
from runtime.handoff.transport.tcp.frames import Place, ProtocolError

PLACE = Place(name="worker", host="127.0.0.1", port=4000, token="ab" * frames.TOKEN_BYTES)

lengths = st.integers(1, 3 * frames.READ_BYTES)


def test_a_place_is_read_back() -> None:
    assert Place.decode(PLACE.encode()) == PLACE


@pytest.mark.parametrize(
    "change",
    [
        {"transport": "other"},
        {"host": "worker.internal"},
        {"host": 7},
        {"port": 0},
        {"port": "4000"},
        {"token": "ab"},
        {"token": None},
        {"name": ""},
        {"name": "n" * 256},
        {"more": 1},
    ],
)
def test_another_place_is_refused(change: dict[str, object]) -> None:
    given = json.loads(PLACE.encode()) | change
    with pytest.raises(HandoffError, match="not of the TCP transport"):
        Place.decode(json.dumps(given).encode())


@pytest.mark.parametrize("metadata", [b"", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(metadata: bytes) -> None:
    with pytest.raises(HandoffError, match="not of the TCP transport"):
        Place.decode(metadata)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40), lengths), max_size=4))
def test_reads_are_cut_within_the_limits_and_cover_the_same_bytes(pairs: list[tuple[int, int, int]]) -> None:
    reads = frames.cut(pairs)
    for read in reads:
        assert len(read) <= frames.READ_RANGES
        assert sum(length for _, _, length in read) <= frames.READ_BYTES
    parts = iter([part for read in reads for part in read])
    for local, remote, length in pairs:
        while length:
            part = next(parts)
            assert part[:2] == (local, remote)
            local, remote, length = local + part[2], remote + part[2], length - part[2]
    assert next(parts, None) is None


def test_many_small_ranges_are_cut_by_count() -> None:
    assert [len(read) for read in frames.cut([(0, 0, 1)] * 2500)] == [1024, 1024, 452]


@pytest.mark.parametrize("body", [b"", b"x" * 15, frames.RANGE.pack(0, frames.READ_BYTES + 1), b"x" * 16 * 1025])
def test_a_read_beyond_the_limits_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.ranges_in(body)
