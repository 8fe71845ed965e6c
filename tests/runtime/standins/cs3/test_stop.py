"""Answers end where a stop string begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.standins.cs3.stop import StopStrings

LETTERS = st.text("abc", max_size=12)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=4)


def passed(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    cutter, out = StopStrings(stops), ""
    for piece in pieces:
        out += cutter.push(piece)
        if cutter.found:
            break
    return out + cutter.flush(), cutter.found


def before_first_complete_stop(stops: list[str], text: str) -> tuple[str, bool]:
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)], True
    return text, False


@given(STOPS, st.lists(LETTERS, max_size=6))
def test_text_ends_before_the_stop_string_that_is_complete_first_however_it_is_cut(
    stops: list[str], pieces: list[str]
) -> None:
    assert passed(stops, pieces) == before_first_complete_stop(stops, "".join(pieces))


def test_text_that_cannot_begin_a_stop_string_is_not_held_back() -> None:
    cutter = StopStrings(["END"])
    assert [cutter.push(piece) for piece in ("one ", "two E", "N", "t")] == ["one ", "two ", "", "ENt"]
