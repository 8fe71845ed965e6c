"""Traces as they are published, and everything that can be wrong with one, by row and column."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import planner
from tandem.traces.read import read
from tandem.traces.trace import Trace, TraceError

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
AZURE = HEADER + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
MOONCAKE = (
    '{"timestamp": 500, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}\n'
    '{"timestamp": 27482, "input_length": 700, "output_length": 4, "hash_ids": [0, 2]}\n'
)


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "trace"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_azure(tmp_path: Path) -> None:
    trace = read(written(tmp_path, AZURE))
    assert trace.seconds.tolist() == pytest.approx([0, 4.314579])
    assert (trace.prompt_tokens.tolist(), trace.answer_tokens.tolist()) == ([374, 396], [44, 109])
    assert (len(trace), trace.block_tokens, len(trace.blocks)) == (2, 0, 0)


def test_mooncake(tmp_path: Path) -> None:
    trace = read(written(tmp_path, MOONCAKE))
    assert trace.span == pytest.approx(26.982)
    assert (trace.blocks.tolist(), trace.ends.tolist(), trace.block_tokens) == ([0, 1, 0, 2], [2, 4], 512)


@pytest.mark.parametrize("content", [AZURE, MOONCAKE])
def test_gzip_byte_order_mark_and_blank_lines_make_no_difference(tmp_path: Path, content: str) -> None:
    plain = read(written(tmp_path, content))
    other = read(written(tmp_path, gzip.compress(b"\xef\xbb\xbf" + content.encode() + b"\n")))
    assert all(np.array_equal(getattr(plain, name), getattr(other, name)) for name in ("seconds", "blocks", "ends"))


def line(**changes: object) -> str:
    return json.dumps({"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0], **changes}) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "row 1, the line: b'' begins no trace"),
        ("time;tokens\n", "row 1, the line: b'time;tokens.*begins no trace"),
        (HEADER, "row 1, the file: no request"),
        ("TIMESTAMP,GeneratedTokens\n", "row 1, ContextTokens: missing from the header"),
        (AZURE + "2023-11-16 18:15:51,5\n", "row 4, the line: 2 cells, the header has 3"),
        (AZURE + "1700158546,5,5\n", "row 4, TIMESTAMP: '1700158546' is no date and time"),
        (AZURE + "2023-11-16 18:15:51,1.5,5\n", "row 4, ContextTokens: '1.5' is no whole number"),
        (AZURE + "2023-11-16 18:15:51,5,0\n", "row 4, answer tokens: 0: 1 to"),
        (AZURE + "2023-11-16 18:15:51,-5,1\n", "row 4, prompt tokens: -5: 1 to"),
        (AZURE + "2023-11-16 18:15:46,5,5\n", "row 4, time: 4.99517 s before the row above"),
        (AZURE.encode() + b"\xff\n", "row 4, the line: no UTF-8"),
        (line() + line(timestamp=1.5), "row 2, timestamp: .*times are whole milliseconds"),
        (line() + line(input_length="9"), "row 2, input_length: "),
        (line() + '{"timestamp": 1}\n', "row 2, input_length: "),
        (line() + "{\n", "row 2, the line: "),
        (line(input_length=10**9), "row 1, prompt tokens: 1000000000: 1 to"),
        (line(hash_ids=[0, 1, 2]), "row 1, hash_ids: 3 ids for 600 tokens"),
        (gzip.compress(AZURE.encode())[:-9], "row 1, the file: gzip data is damaged"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        read(written(tmp_path, content))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (AZURE + text).encode()))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    try:
        assert len(read(written(tmp_path_factory.mktemp("any"), content))) > 0
    except TraceError as error:
        assert str(error).startswith("row ")  # noqa: PT017 - either is right, nothing else is


MEASURED = """
import resource, sys
from pathlib import Path
from tandem.traces.read import read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read(Path(sys.argv[1]))
except ValueError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


def test_a_million_lines_take_little_more_memory_than_their_columns_and_the_bad_one_is_named(tmp_path: Path) -> None:
    lines = line(hash_ids=[0, 1, 2, 3], input_length=2048) * 1_000_000 + line(output_length=0)
    path = written(tmp_path, gzip.compress(lines.encode(), 1))
    done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
    kilobytes, _, message = done.stdout.partition(" ")
    assert message.startswith("row 1000001, answer tokens: 0")
    # three columns, one of ends and four blocks a prompt, eight bytes each; lists of numbers take thrice that
    assert int(kilobytes) * 1024 < 1.5 * 8 * 8 * 1_000_000


@pytest.fixture(scope="module")
def drawn() -> Trace:
    """Return an hour like Mooncake's: as many requests, as long, four prompts in ten beginning as one before."""
    return planner.drawn(planner.HOUR)


def test_an_hour_in_azures_form_is_read_as_it_was_written(tmp_path: Path, drawn: Trace) -> None:
    moments = [datetime(2023, 11, 16, 18, tzinfo=UTC) + timedelta(seconds=each) for each in drawn.seconds.tolist()]
    rows = zip(moments, drawn.prompt_tokens, drawn.answer_tokens, strict=True)
    # a tenth of a microsecond, as published
    text = "".join(f"{time:%Y-%m-%d %H:%M:%S.%f}0,{prompt},{answer}\n" for time, prompt, answer in rows)
    trace = read(written(tmp_path, HEADER + text))
    assert np.allclose(trace.seconds, drawn.seconds, rtol=0, atol=1e-6)
    assert np.array_equal(trace.prompt_tokens, drawn.prompt_tokens)
    assert np.array_equal(trace.answer_tokens, drawn.answer_tokens)


def test_an_hour_in_mooncakes_form_is_read_as_it_was_written(tmp_path: Path, drawn: Trace) -> None:
    prompts, answers = drawn.prompt_tokens.tolist(), drawn.answer_tokens.tolist()
    blocks = np.split(drawn.blocks, drawn.ends[:-1])
    text = "".join(
        line(timestamp=round(1000 * time), input_length=prompt, output_length=answer, hash_ids=held.tolist())
        for time, prompt, answer, held in zip(drawn.seconds.tolist(), prompts, answers, blocks, strict=True)
    )
    trace = read(written(tmp_path, text))
    assert np.allclose(trace.seconds, drawn.seconds, rtol=0, atol=1e-3)
    for name in ("prompt_tokens", "answer_tokens", "blocks", "ends", "block_tokens"):
        assert np.array_equal(getattr(trace, name), getattr(drawn, name))
