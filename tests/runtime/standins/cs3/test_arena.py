"""Parts of an arena never overlap while anybody holds them, and come back when nobody does."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runtime.standins.cs3.arena import STEP, Arena, Octets


def place(array: Octets) -> range:
    start = int(array.ctypes.data)
    return range(start, start + array.nbytes)


def test_what_is_given_back_is_used_again_and_the_lowest_first() -> None:
    arena = Arena(8 * STEP)
    first, second, third = (arena.take(STEP + 1) for _ in range(3))
    starts = [place(part).start for part in (first, second, third)]
    assert [start - starts[0] for start in starts] == [0, 2 * STEP, 4 * STEP]
    del first, second
    assert place(arena.take(4 * STEP)) == range(starts[0], starts[0] + 4 * STEP)
    assert third.nbytes == STEP + 1


def test_a_view_holds_the_part() -> None:
    arena = Arena(2 * STEP)
    part = arena.take(2 * STEP)
    whole = place(part)
    view = part.view("<f2").reshape(2, -1)[1:]
    del part
    assert place(arena.take(1)).start not in whole
    del view
    assert place(arena.take(1)).start == whole.start


def test_what_does_not_fit_is_new_memory() -> None:
    arena = Arena(STEP)
    held = arena.take(STEP)
    more = arena.take(3 * STEP)
    more[:] = 1
    assert more.nbytes == 3 * STEP
    assert not set(place(more)) & set(place(held))


@given(st.lists(st.integers(1, 40 * STEP) | st.none(), max_size=30))
def test_parts_in_use_never_overlap(sizes: list[int | None]) -> None:
    arena = Arena(100 * STEP)
    held: list[Octets] = []
    for size in sizes:
        if size is not None:
            held.append(arena.take(size))
        elif held:
            held.pop(len(held) // 2)
        spans = sorted((place(part) for part in held), key=lambda span: span.start)
        assert all(low.stop <= high.start for low, high in pairwise(spans))
    held.clear()
    arena.take(1)
    assert len(arena.take(99 * STEP)) == 99 * STEP
