"""Event-stream messages, read back by botocore's own decoder."""

from __future__ import annotations

import json
from typing import Any

from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.api.bedrock import eventstream

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=9
)


def _decoded(sent: bytes) -> list[Any]:
    buffer = EventStreamBuffer()
    buffer.add_data(sent)
    return list(buffer)


@given(st.lists(st.tuples(st.text("abcdeF", min_size=1), st.dictionaries(st.text(), _JSON)), max_size=4))
def test_botocore_reads_what_was_written(events: list[tuple[str, dict[str, Any]]]) -> None:
    read = _decoded(b"".join(eventstream.event(kind, body) for kind, body in events))
    assert [(message.headers[":event-type"], json.loads(message.payload)) for message in read] == events
    assert {message.headers[":message-type"] for message in read} <= {"event"}


def test_an_exception_is_one() -> None:
    [message] = _decoded(eventstream.exception("throttlingException", "later"))
    assert message.headers == {
        ":exception-type": "throttlingException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    assert json.loads(message.payload) == {"message": "later"}
    assert message.to_response_dict()["status_code"] == 400
