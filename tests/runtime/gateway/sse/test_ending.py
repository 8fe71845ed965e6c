"""Following a stream by its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.sse.ending import Tail
from runtime.gateway.telemetry.usage import Usage, of_answer, of_events
from runtime.handoff.contract import Code, HandoffError

USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}\n\n'
ERROR = HandoffError(Code.DECODE_FAILED, "gone")


@given(st.lists(st.integers(1, 20), max_size=20))
def test_the_end_is_seen_however_the_bytes_are_cut(sizes: list[int]) -> None:
    stream, tail = b'data: {"x": 1}\n\n' * 3 + b"data: [DONE]\n\n", Tail()
    for size in sizes:
        tail.push(stream[:size])
        stream = stream[size:]
    tail.push(stream)
    assert tail.finished is (stream != b"" or sum(sizes) >= 62)


@given(st.lists(st.integers(1, 200), max_size=20))
def test_the_usage_is_found_however_the_bytes_are_cut_as_long_as_few_cuts_fall_in_it(sizes: list[int]) -> None:
    stream, tail = b'data: {"x": 1}\n\n' * 30 + USAGE + b"data: [DONE]\n\n", Tail()
    for size in sizes:
        tail.push(stream[:size])
        stream = stream[size:]
    tail.push(stream)
    assert of_events(tail.end) in (Usage(9, 2), None)
    assert len(tail.end) <= 2 * 4096


@pytest.mark.parametrize("cuts", [[], [500], [560], [520, 600], [590]])
def test_the_usage_is_found_where_its_event_comes_in_two_parts(cuts: list[int]) -> None:
    stream, tail = b'data: {"x": 1}\n\n' * 31 + USAGE + b"data: [DONE]\n\n", Tail()
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        tail.push(stream[begin:end])
    assert tail.finished
    assert of_events(tail.end) == Usage(9, 2)


@pytest.mark.parametrize(
    "told",
    [
        b'{"usage":{"prompt_tokens":-1,"completion_tokens":2}}',
        b'{"usage":{"prompt_tokens":1e400,"completion_tokens":2}}',
        b'{"usage":{"completion_tokens":2}}',
        b'{"usage":null}',
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"x":' * 100_000,
    ],
)
def test_what_tells_no_counts_tells_nothing(told: bytes) -> None:
    assert of_answer(told) is None
    assert of_events(b"data: " + told + b"\n\n") is None


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
