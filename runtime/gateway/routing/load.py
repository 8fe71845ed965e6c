"""Choose by load alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

_Peer = TypeVar("_Peer")


def least(peers: Sequence[_Peer], load: Callable[[_Peer], float | tuple[float, ...]], turn: int) -> _Peer:
    """Return the peer of the least load; among equals ``turn`` goes round. ``peers`` must not be empty."""
    if len(peers) == 1:
        return peers[0]
    start = turn % len(peers)
    return min([*peers[start:], *peers[:start]], key=load)
