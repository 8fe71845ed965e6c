"""Give each session a home among the peers, on which every gateway agrees without a word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_DIGEST_BYTES = 8


def home(session: str, peers: Iterable[str]) -> str:
    """Return the peer whose digest with the session is highest (rendezvous hashing); ``peers`` must not be empty.

    A peer that leaves moves its own sessions only, and one that comes takes its share of each other's.
    """
    return max(sorted(peers), key=lambda peer: _weight(session, peer))


def _weight(session: str, peer: str) -> bytes:
    return hashlib.blake2b(f"{session}\0{peer}".encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
