"""Spell what two agents say to each other over TCP; every length is checked before anything of it is kept.

    reader ─► owner   greeting, once: magic, the owner's token, the reader's name
                      READ id, ranges of the owner's memory · NOTICE message
    owner ─► reader   DATA id, the bytes of all ranges · REFUSED id, reason

Requests are answered in their order. A READ is also the reader's credit for the bytes that it names: with ``WINDOW``
unanswered READs of ``READ_BYTES`` there are no more, so neither side ever holds what the other is too slow to take.
"""

from __future__ import annotations

import ipaddress
import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Final, Self

from runtime.handoff.contract import Code, HandoffError

MAGIC: Final = b"TANDEMKV1"
TOKEN_BYTES: Final = 16
NAME_BYTES: Final = 255
WINDOW: Final = 4
"""READs that may be unanswered on one connection."""
READ_BYTES: Final = 4 * 2**20
"""The most bytes of one READ."""
READ_RANGES: Final = 1024
"""The most ranges of one READ; as many buffers as Linux takes at once."""
NOTICE_BYTES: Final = 64 * 1024
REASON_BYTES: Final = 1024

GREETING: Final = struct.Struct(f"!{len(MAGIC)}s{TOKEN_BYTES}sB")
HEADER: Final = struct.Struct("!BII")
"""Kind, id of the READ, bytes that follow."""
RANGE: Final = struct.Struct("!QQ")
"""Address, bytes."""

Range = tuple[int, int]


class Kind(IntEnum):
    """Enumerate the frames."""

    READ = 1
    NOTICE = 2
    DATA = 3
    REFUSED = 4


class ProtocolError(Exception):
    """Tell that the other side speaks another protocol, or exceeds a limit; its connection is closed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Say where an agent listens; ``token`` is new in each life, so that no successor is taken for it."""

    name: str
    host: str
    port: int
    token: str

    def encode(self) -> bytes:
        """Return what peers are given as the agent's metadata."""
        return json.dumps({"transport": "tandem-tcp-1", **asdict(self)}).encode()

    @classmethod
    def decode(cls, metadata: bytes) -> Self:
        """Read a peer's metadata; raise ``HandoffError`` (``kv_transfer``) where it is another transport's."""
        try:
            given = json.loads(metadata)
            if given.pop("transport") != "tandem-tcp-1":
                raise ValueError("another transport's")
            place = cls(**given)
            if not isinstance(place.host, str) or not ipaddress.ip_address(place.host):
                raise ValueError("no address")
            if not 0 < place.port < 65536 or len(bytes.fromhex(place.token)) != TOKEN_BYTES:
                raise ValueError("no port and token")
            if not 0 < len(place.name.encode()) <= NAME_BYTES:
                raise ValueError("no name")
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise HandoffError(
                Code.KV_TRANSFER, "the peer's agent metadata is unusable: it is not of the TCP transport"
            ) from error
        return place


def greeting(token: bytes, name: str) -> bytes:
    """Return what a reader says first."""
    encoded = name.encode()
    return GREETING.pack(MAGIC, token, len(encoded)) + encoded


def read(number: int, ranges: Sequence[Range]) -> bytes:
    """Return a READ."""
    body = b"".join(RANGE.pack(*each) for each in ranges)
    return HEADER.pack(Kind.READ, number, len(body)) + body


def ranges_in(body: bytes) -> list[Range]:
    """Return the ranges of a READ; raise ``ProtocolError`` on none, too many, or too many bytes."""
    if not body or len(body) % RANGE.size or len(body) > READ_RANGES * RANGE.size:
        raise ProtocolError(f"a READ names {len(body)} bytes of ranges")
    ranges = [(address, length) for address, length in RANGE.iter_unpack(body)]
    if sum(length for _, length in ranges) > READ_BYTES:
        raise ProtocolError(f"a READ asks for more than {READ_BYTES} bytes")
    return ranges


def cut(pairs: Iterable[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Cut (local, remote, length) into READs that keep the limits, in order."""
    reads: list[list[tuple[int, int, int]]] = []
    room = 0
    for local, remote, length in pairs:
        while length:
            if not room or len(reads[-1]) == READ_RANGES:
                reads.append([])
                room = READ_BYTES
            part = min(length, room)
            reads[-1].append((local, remote, part))
            local, remote, length, room = local + part, remote + part, length - part, room - part
    return reads
