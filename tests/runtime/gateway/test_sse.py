"""Following a stream by its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.sse import Tail
from runtime.handoff.contract import Code, HandoffError

ERROR = HandoffError(Code.DECODE_FAILED, "gone")


@given(st.lists(st.integers(1, 20), max_size=20))
def test_the_end_is_seen_however_the_bytes_are_cut(sizes: list[int]) -> None:
    stream, tail = b'data: {"x": 1}\n\n' * 3 + b"data: [DONE]\n\n", Tail()
    for size in sizes:
        tail.push(stream[:size])
        stream = stream[size:]
    tail.push(stream)
    assert tail.finished is (stream != b"" or sum(sizes) >= 62)


@pytest.mark.parametrize("end", [b"", b'data: {"x"', b'data: {"x": 1}\n\n', b"data: [DON"])
def test_any_other_end_is_a_truncation(end: bytes) -> None:
    tail = Tail()
    tail.push(end)
    assert not tail.finished


@pytest.mark.parametrize(
    ("end", "separator"), [(b"", b""), (b"data: 1\n\n", b""), (b"data: 1\r\n\r\n", b""), (b'data: {"x"', b"\n\n")]
)
def test_an_error_is_an_event_of_its_own(end: bytes, separator: bytes) -> None:
    tail = Tail()
    tail.push(end)
    assert tail.error_event(ERROR).startswith(separator + b'data: {"error"')
    assert tail.error_event(ERROR).endswith(b"}\n\n")
