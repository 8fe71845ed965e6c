"""Traces as they are published, and everything that can be wrong with one, by row and column."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.traces.read import read
from tandem.traces.trace import TraceError

SHARED = Path(__file__).parents[4] / "shared" / "traces"
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


@pytest.mark.parametrize(
    ("name", "count", "span", "prompt"),
    [("azure_llm_2023_conversation.csv", 19_366, 3501, 1155), ("mooncake_conversation.jsonl", 12_031, 3536, 12_035)],
)
def test_the_published_traces(name: str, count: int, span: float, prompt: float) -> None:
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not beside this checkout")
    trace = read(SHARED / name)
    assert len(trace) == count
    assert trace.span == pytest.approx(span, rel=0.01)
    assert trace.prompt_tokens.mean() == pytest.approx(prompt, rel=0.001)
