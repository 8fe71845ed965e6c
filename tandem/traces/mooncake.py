"""Read Mooncake's traces (FAST'25): JSON lines of time in milliseconds, tokens, and ids of 512-token prompt blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

import msgspec

from tandem.traces.request import Request
from tandem.traces.trace import TraceError

BLOCK_TOKENS: Final = 512
_FIELD: Final = re.compile(r"(?:`\$\.|field `)(\w+)")
"""Where msgspec names a field: of a wrong type, or missing."""


class _Line(msgspec.Struct):
    timestamp: int
    input_length: int
    output_length: int
    hash_ids: list[int] = []


def requests(first: bytes, lines: Iterator[bytes]) -> Iterator[tuple[int, Request]]:
    """Yield each row with its number in the file; raise ``TraceError``."""
    decoder = msgspec.json.Decoder(_Line)
    for row, text in enumerate(chain([first], lines), 1):
        if not text.strip():
            continue
        try:
            line = decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _unreadable(row, error) from error
        if len(line.hash_ids) > -(-line.input_length // BLOCK_TOKENS):
            message = (
                f"{len(line.hash_ids)} ids for {line.input_length} tokens, at most one for {BLOCK_TOKENS} is possible"
            )
            raise TraceError(row, "hash_ids", message)
        yield (
            row,
            Request(
                seconds=line.timestamp / 1000,
                prompt_tokens=line.input_length,
                answer_tokens=line.output_length,
                blocks=line.hash_ids,
            ),
        )


def _unreadable(row: int, error: Exception) -> TraceError:
    field = _FIELD.search(str(error))
    column = field.group(1) if field else "the line"
    hint = "; times are whole milliseconds" if column == "timestamp" else ""
    return TraceError(row, column, f"{str(error)[:120]}{hint}")
