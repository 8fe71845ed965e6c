"""The clauses of the contract, in the order in which they are examined; one a module."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tandem.conformance.clauses import (
    abort,
    authorization,
    capabilities,
    completion,
    continuation,
    corrupt,
    counting,
    decode,
    disconnect,
    expiry,
    foreign,
    incomplete,
    layers,
    layout,
    overflow,
    release,
    reserve,
    single_use,
    slow_consumer,
    stale,
    stream,
    ticket,
)
from tandem.conformance.parties import Parties

Clause = Callable[[Parties], Awaitable[None]]

CLAUSES: Final[Mapping[str, Clause]] = {
    "capabilities": capabilities.check,
    "authorization": authorization.check,
    "reserve": reserve.check,
    "release": release.check,
    "overflow": overflow.check,
    "decode": decode.check,
    "stream": stream.check,
    "continuation": continuation.check,
    "completion": completion.check,
    "counting": counting.check,
    "ticket": ticket.check,
    "single-use": single_use.check,
    "foreign": foreign.check,
    "incomplete": incomplete.check,
    "layout": layout.check,
    "corrupt": corrupt.check,
    "layers": layers.check,
    "stale": stale.check,
    "abort": abort.check,
    "disconnect": disconnect.check,
    "slow-consumer": slow_consumer.check,
    "expiry": expiry.check,
}
