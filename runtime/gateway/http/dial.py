"""Connect to a name, by any of its addresses, and leave no socket behind where nobody waits for it any more."""

from __future__ import annotations

import asyncio
import socket
from asyncio.staggered import staggered_race
from functools import partial
from itertools import chain, zip_longest
from typing import Any, Final

_NEXT_ADDRESS_SECONDS: Final = 0.25
"""After how long a name's next address is tried as well (RFC 8305)."""
_Address = tuple[Any, ...]


async def dial(host: str, port: int) -> socket.socket:
    """Return a socket that is connected; raise ``OSError``.

    asyncio's own way by several addresses, which is its way by one as well, forgets the socket of a caller who is
    cancelled just as it connects: it would stay open until it is collected as garbage.
    """
    addresses = await _addresses(host, port)
    if len(addresses) == 1:
        return await _connected(addresses[0])
    made: list[socket.socket] = []
    try:
        ways = [partial(_kept, each, made) for each in addresses]
        first, _, errors = await staggered_race(ways, _NEXT_ADDRESS_SECONDS)
    except BaseException:
        for each in made:
            each.close()
        raise
    if first is None:
        raise next(error for error in errors if error is not None)
    connected: socket.socket = first
    return connected


async def _addresses(host: str, port: int) -> list[_Address]:
    """Return what ``host`` stands for, families in turn; an address stands for itself, which no thread need look up."""
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    preferred = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain.from_iterable(zip_longest(preferred, others)) if each is not None]


async def _kept(address: _Address, made: list[socket.socket]) -> socket.socket:
    made.append(connected := await _connected(address))
    return connected


async def _connected(address: _Address) -> socket.socket:
    family, kind, protocol, _, where = address
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, where)
    except BaseException:
        made.close()
        raise
    return made
