"""Server-sent events, however their bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.sse.events import MAX_EVENT_BYTES, EventError, Events

_LINE = st.binary(max_size=9).map(lambda text: text.replace(b"\r", b"").replace(b"\n", b""))
_DATA = st.lists(_LINE, min_size=1, max_size=3).map(b"\n".join)


@given(st.lists(_DATA, max_size=5), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_events_come_out_whole_wherever_the_bytes_are_cut(events: list[bytes], end: bytes, data: st.DataObject) -> None:
    text = b"".join(
        b"".join(b"data: " + line + end for line in event.split(b"\n")) + b": comment" + end + end for event in events
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    reader, found = Events(), list[bytes]()
    for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True):
        found += reader.push(text[start:stop])
    # a last CR may be the half of CR LF, so its event is complete only with the next byte
    found += reader.push(b":")
    assert found == events


def test_other_fields_are_no_data() -> None:
    assert list(Events().push(b'event: x\nid: 1\ndata:{"a":1}\nretry\n\n')) == [b'{"a":1}']


def test_an_event_without_end_is_given_up() -> None:
    reader = Events()
    assert list(reader.push(b"data: " + b"x" * (MAX_EVENT_BYTES - 6))) == []
    with pytest.raises(EventError, match="an event of more than"):
        list(reader.push(b"x"))
