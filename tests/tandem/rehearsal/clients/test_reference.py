"""The reference is the same engine in one process, and says why where it could not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.rehearsal.clients.prompts import Prompt
from tandem.rehearsal.clients.reference import ReferenceRunError, single_process

ROOT = Path(__file__).parents[4]


def engine_in(root: Path, source: str) -> Path:
    """Put a program in the engine's place."""
    package = root / "runtime" / "standins"
    package.mkdir(parents=True)
    (root / "runtime" / "__init__.py").touch()
    (package / "engine.py").write_text(source)
    return root


def prompt(text: str, max_tokens: int) -> Prompt:
    return Prompt(name="p", text=text, max_tokens=max_tokens)


def test_answers_each_prompt_in_order() -> None:
    capital = "What is the capital of France? Answer in one sentence."
    first, second = single_process(ROOT, [prompt(capital, 2), prompt("Hi\n«東京»", 1)])
    assert first["text"] == "The capital"
    assert len(first["token_ids"]) == 2
    assert len(second["token_ids"]) == 1
    assert first["prompt_tokens"] > second["prompt_tokens"] > 0


def test_without_prompts_there_is_nothing_to_compare() -> None:
    assert single_process(ROOT, []) == []


def test_reports_a_prompt_that_the_engine_refuses() -> None:
    with pytest.raises(ReferenceRunError, match=r"ended with status 1: cache for .* tokens was asked, allowed is"):
        single_process(ROOT, [prompt("Hi", 10_000)])


def test_reports_a_bad_model(tmp_path: Path) -> None:
    root = engine_in(tmp_path, "import sys; print('model file is corrupt\\n', file=sys.stderr); sys.exit(1)")
    with pytest.raises(ReferenceRunError, match=r"the single-process run ended with status 1: model file is corrupt$"):
        single_process(root, [prompt("Hi", 1)])


def test_an_answer_may_hold_any_line_separator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "")
    monkeypatch.setenv("LC_ALL", "C")
    text = "é\u2028\u2029\x85\x0c\x1c東"
    source = f"import json, sys; [print(json.dumps({{'text': {text!r}}}, ensure_ascii=False)) for line in sys.stdin]"
    assert single_process(engine_in(tmp_path, source), [prompt("a", 1)] * 2) == [{"text": text}] * 2
