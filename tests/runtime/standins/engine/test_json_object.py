"""What is followed is JSON, and all JSON objects are followed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from runtime.standins.engine.json_object import JsonObject

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON, max_size=4)
PIECES = st.lists(st.sampled_from([*'{}[]",:0123456789.eE+- \n\\utrfalsn', "é", "\x01"]), max_size=12).map("".join)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 2]))
def test_every_object_is_followed_to_its_end(value: dict[str, Any], ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent).encode("utf-8", "surrogatepass")
    state: JsonObject | None = JsonObject()
    for number, byte in enumerate(text):
        assert state is not None
        assert not state.complete
        state = state.after(bytes([byte]))
        assert state is not None, text[:number]
    assert state is not None
    assert state.complete


@given(PIECES | OBJECTS.map(json.dumps), PIECES, st.integers(0, 30))
@example('{"Inf": null}', "", 0)
@example('{"": ', "NaN}", 5)
def test_what_is_complete_is_an_object_and_what_is_none_is_never_complete(start: str, middle: str, at: int) -> None:
    text = start[:at] + middle + start[at:]
    state = JsonObject().after(text.encode())
    try:
        parsed = json.loads(text, parse_constant=refused)
    except ValueError:
        parsed = None
    assert (state is not None and state.complete) == isinstance(parsed, dict)


def refused(constant: str) -> None:
    """Refuse NaN and infinities, which Python reads as JSON."""
    raise ValueError(constant)
