"""A size written back: the values change, everything else stays, and the result is a valid file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tandem.plan.rewrite import RewriteError, places, rewritten
from tandem.spec.read import parse

PATH = Path(__file__).parents[3] / "deployments" / "llama-3.3-70b-trn2-cs3.yaml"
TEXT = PATH.read_text()


def test_values_change_and_comments_stay() -> None:
    deployment, _ = parse(TEXT, PATH)
    assert deployment is not None
    text, _ = rewritten(TEXT, places(deployment, (9, 12)), PATH)
    changed = [pair for pair in zip(TEXT.splitlines(), text.splitlines(), strict=True) if pair[0] != pair[1]]
    assert [new.strip() for _, new in changed] == ["count: 9", "max_count: 9", "systems: 12"]
    after, _ = parse(text, PATH)
    assert after is not None
    assert places(after, (9, 12)) == {("prefill", "groups", 0, "count"): 9, ("decode", "systems"): 12}


def test_a_result_with_errors_is_refused() -> None:
    with pytest.raises(RewriteError, match="the file would not be valid: ERROR"):
        rewritten(TEXT, {("prefill", "groups", 0, "count"): 0}, PATH)


def test_a_place_that_is_not_there_is_named() -> None:
    with pytest.raises(RewriteError, match=r"prefill.groups.3.count is no plain value"):
        rewritten(TEXT, {("prefill", "groups", 3, "count"): 1}, PATH)
