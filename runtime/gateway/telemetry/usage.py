"""Read from an answer, or from the end of a stream, how many tokens it took, as far as it tells."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


class Usage(msgspec.Struct, frozen=True):
    """Count a request's tokens, as whoever decoded it did."""

    prompt_tokens: _Count
    completion_tokens: _Count


class _Telling(msgspec.Struct):
    usage: Usage | None = None


_DECODER: Final = msgspec.json.Decoder(_Telling)
_NAMED: Final = b'"usage"'
_DATA: Final = b"data:"


def of_answer(body: bytes) -> Usage | None:
    """Return what a JSON object tells; None where it tells nothing, or is none."""
    try:
        return _DECODER.decode(body).usage
    except (msgspec.MsgspecError, RecursionError):
        return None


def of_events(end: bytes) -> Usage | None:
    """Return what the last of the events tells that tells it; what is cut at the beginning is none."""
    told = (
        line.removeprefix(_DATA) for line in reversed(end.splitlines()) if line.startswith(_DATA) and _NAMED in line
    )
    return next((usage for data in told if (usage := of_answer(data))), None)
