"""A report is a table for people and JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path

from tandem.rehearsal.clients.prompts import Answer, Prompt
from tandem.rehearsal.report import Report, phase_table, prompt_entry, table

SHORT = Answer(
    Prompt(name="short", text="?", max_tokens=8),
    text="Paris »",
    token_ids=[1, 2],
    prompt_tokens=42,
    completion_tokens=2,
    kv_bytes=967_680,
    ttft_ms=30.04,
    total_ms=50.0,
    phases_ms={"reserve": 10.0, "first_token": 20.04},
)
LONG = Answer(
    Prompt(name="a longer name", text="?", max_tokens=8),
    prompt_tokens=2013,
    completion_tokens=21,
    kv_bytes=46_380_000,
    ttft_ms=6226.1,
    phases_ms={"reserve": 1.0, "prefill": 6200.0, "first_token": 25.1},
)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table([["name", "n"], ["a", "100"], ["longer", "2"]]).splitlines() == [
        "name      n",
        "a       100",
        "longer    2",
    ]


def test_phases_of_all_prompts_share_one_table() -> None:
    assert phase_table([SHORT, LONG]).splitlines() == [
        "prompt          tokens  KV MB  reserve  first_token  prefill  TTFT ms",
        "short             42+2    1.0     10.0         20.0      0.0     30.0",
        "a longer name  2013+21   46.4      1.0         25.1   6200.0   6226.1",
    ]


def test_no_answers_are_a_table_without_rows() -> None:
    assert phase_table([]).split() == ["prompt", "tokens", "KV", "MB", "TTFT", "ms"]


def test_an_entry_holds_the_answer_and_whether_it_was_equal() -> None:
    assert prompt_entry(SHORT, equal=True) == {
        "name": "short",
        "route": "load-balancer",
        "prompt_tokens": 42,
        "completion_tokens": 2,
        "kv_bytes": 967_680,
        "tokens_equal_single_process": True,
        "ttft_ms": 30.04,
        "total_ms": 50.0,
        "phases_ms": {"reserve": 10.0, "first_token": 20.04},
        "text": "Paris »",
    }


def test_a_report_says_failed_until_all_went_well(tmp_path: Path) -> None:
    report = Report(deployment="rehearsal", file="rehearsal.yaml")
    report.prompts.append(prompt_entry(SHORT, equal=False))
    report.write(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    written = json.loads(text)
    assert "Paris »" in text
    assert (written["ok"], written["error"], written["destroyed"]) == (False, None, False)
    assert written["prompts"][0]["tokens_equal_single_process"] is False
    report.ok = True
    report.write(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["ok"] is True
