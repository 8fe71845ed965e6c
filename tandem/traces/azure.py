"""Read Azure's LLM inference traces (AzurePublicDataset, 2023): CSV of time, prompt tokens, answer tokens."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from tandem.traces.request import Request
from tandem.traces.trace import TraceError

COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def requests(header: bytes, lines: Iterator[bytes]) -> Iterator[tuple[int, Request]]:
    """Yield each row with its number in the file; raise ``TraceError``."""
    names = [name.strip() for name in _text(1, header).strip().split(",")]
    if missing := [name for name in COLUMNS if name not in names]:
        raise TraceError(1, ", ".join(missing), f"missing from the header {','.join(names)[:120]!r}")
    at = [names.index(name) for name in COLUMNS]
    rows = csv.reader(_text(row, line) for row, line in enumerate(lines, 2))
    try:
        for cells in rows:
            row = rows.line_num + 1
            if cells:
                yield row, _request(row, cells, at, len(names))
    except csv.Error as error:
        raise TraceError(rows.line_num + 1, "the line", f"no CSV: {error}") from error


def _request(row: int, cells: list[str], at: list[int], width: int) -> Request:
    if len(cells) != width:
        raise TraceError(row, "the line", f"{len(cells)} cells, the header has {width}")
    time, prompt, answer = (cells[index] for index in at)
    return Request(
        seconds=_seconds(row, time),
        prompt_tokens=_count(row, COLUMNS[1], prompt),
        answer_tokens=_count(row, COLUMNS[2], answer),
    )


def _seconds(row: int, text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text[:40]!r} is no date and time such as 2023-11-16 18:15:46.68"
        raise TraceError(row, COLUMNS[0], message) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _count(row: int, column: str, text: str) -> int:
    # int() alone would take 1_000 and digits of other scripts
    if not text.isascii() or not text.removeprefix("-").isdecimal():
        raise TraceError(row, column, f"{text[:40]!r} is no whole number of tokens")
    return int(text)


def _text(row: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise TraceError(row, "the line", f"no UTF-8: {error.reason} at byte {error.start}") from error
