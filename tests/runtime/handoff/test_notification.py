"""Understand vLLM's notifications and nothing else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.handoff.notification import Heartbeat, ReadDone, parse


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        (b"chatcmpl-1-deadbeef:1", ReadDone("chatcmpl-1-deadbeef", 1)),
        (b"with:colon:12", ReadDone("with:colon", 12)),
        (b"HB:a", Heartbeat(("a",))),
        (b"HB:a,b", Heartbeat(("a", "b"))),
    ],
)
def test_known_messages(message: bytes, meaning: ReadDone | Heartbeat) -> None:
    assert parse(message) == meaning
    assert meaning.message() == message


@pytest.mark.parametrize("message", [b"", b":", b":1", b"a", b"a:", b"a:0", b"a:-1", b"a:x", b"\xff:1"])
def test_other_messages_are_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"notification is|can't decode"):
        parse(message)


@given(st.binary())
def test_no_message_crashes(message: bytes) -> None:
    with suppress(ValueError):
        parse(message)
