"""Read a trace from a file, by its own first line: Azure's CSV or Mooncake's JSON lines, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tandem.traces import azure, mooncake
from tandem.traces.request import Request
from tandem.traces.trace import Trace, TraceError

_GZIP: Final = b"\x1f\x8b"
_MOST_TOKENS: Final = 100_000_000
"""More in one request is a slip of the unit."""


def read(path: Path) -> Trace:
    """Return the trace in ``path``; raise ``TraceError`` for a row that is unusable, ``OSError``."""
    with path.open("rb") as begun:
        packed = begun.read(2) == _GZIP
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as lines:
            return _columns(_requests(iter(lines)))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(1, "the file", f"gzip data is damaged: {error}") from error


def _requests(lines: Iterator[bytes]) -> Iterator[tuple[int, Request]]:
    first = next(lines, b"").removeprefix(b"\xef\xbb\xbf")
    if first.lstrip().startswith(b"{"):
        return mooncake.requests(first, lines)
    if b"," in first:
        return azure.requests(first, lines)
    known = "Azure's CSV header or Mooncake's JSON lines are needed"
    raise TraceError(1, "the line", f"{first[:60]!r} begins no trace: {known}")


def _columns(requests: Iterator[tuple[int, Request]]) -> Trace:
    # arrays, since a list of the blocks of a million prompts would take gigabytes
    seconds, prompts, answers, blocks, ends = array("d"), array("q"), array("q"), array("q"), array("q")
    last = float("-inf")
    for row, request in requests:
        _check(row, request, last)
        last = request.seconds
        seconds.append(request.seconds)
        prompts.append(request.prompt_tokens)
        answers.append(request.answer_tokens)
        blocks.extend(request.blocks)
        ends.append(len(blocks))
    if not seconds:
        raise TraceError(1, "the file", "no request: a trace needs at least one")
    return Trace(
        seconds=np.asarray(seconds) - seconds[0],
        prompt_tokens=np.asarray(prompts),
        answer_tokens=np.asarray(answers),
        blocks=np.asarray(blocks),
        ends=np.asarray(ends),
        block_tokens=mooncake.BLOCK_TOKENS if blocks else 0,
    )


def _check(row: int, request: Request, last: float) -> None:
    if request.seconds < last:
        raise TraceError(row, "time", f"{last - request.seconds:g} s before the row above: sort the rows by time")
    for column, tokens in (("prompt tokens", request.prompt_tokens), ("answer tokens", request.answer_tokens)):
        if not 1 <= tokens <= _MOST_TOKENS:
            raise TraceError(row, column, f"{tokens}: 1 to {_MOST_TOKENS} are allowed")
