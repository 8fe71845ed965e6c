"""Connect to a name, by any of its addresses, and leave no socket behind where nobody waits for it any more."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, Final

_NEXT_ADDRESS_SECONDS: Final = 0.25
"""After how long a name's next address is tried as well (RFC 8305)."""
_Address = tuple[Any, ...]
_Dial = asyncio.Task[socket.socket]


async def dial(host: str, port: int) -> socket.socket:
    """Return a socket that is connected; raise ``OSError``.

    asyncio's own way by several addresses, which is its way by one as well, forgets the socket of a caller who is
    cancelled just as it connects: it would stay open until it is collected as garbage. aiohappyeyeballs 2.7.1 closes
    it, but forgets that its caller was cancelled, while it waits for addresses that lost.
    """
    addresses = await _addresses(host, port)
    if len(addresses) == 1:
        return await _connected(addresses[0])
    dials: list[_Dial] = []
    try:
        return (await _first(addresses, dials)).result()
    finally:
        for each in dials:
            _leave(each)


async def _addresses(host: str, port: int) -> list[_Address]:
    """Return what ``host`` stands for, families in turn; an address stands for itself, which no thread need look up."""
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    preferred = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain.from_iterable(zip_longest(preferred, others)) if each is not None]


async def _first(addresses: Sequence[_Address], dials: list[_Dial]) -> _Dial:
    """Return the first dial that connects, or where none does, of the first address; the others are in ``dials``."""
    untried = deque(addresses)
    while untried or not all(each.done() for each in dials):
        if untried:
            dials.append(asyncio.create_task(_connected(untried.popleft())))
        running = [each for each in dials if not each.done()]
        patience = _NEXT_ADDRESS_SECONDS if untried else None
        await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for each in dials:
            if each.done() and not each.exception():
                dials.remove(each)
                return each
    return dials.pop(0)


def _leave(each: _Dial) -> None:
    """End a dial that nobody waits for: one that is under way closes its socket at the loop's next turn."""
    if not each.cancel() and not each.exception():
        each.result().close()


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
