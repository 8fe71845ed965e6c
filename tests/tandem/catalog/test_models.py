"""The table of models against sizes that others computed or published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.catalog.models import models


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # DeepSeek, "Insights into DeepSeek-V3", and LMCache's calculator
        ("deepseek-ai/DeepSeek-V3", 70_272),
        ("meta-llama/Llama-3.1-405B", 516_096),
        ("meta-llama/Llama-3.3-70B-Instruct", 327_680),
        ("meta-llama/Llama-3.1-8B", 131_072),
        ("Qwen/Qwen3-235B-A22B", 192_512),
        ("zai-org/GLM-4.6", 376_832),
        # what a rehearsal measures for each token
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 23_040),
    ],
)
def test_kv_bytes_of_a_token(model: str, expected: int) -> None:
    assert models()[model].kv_bytes(1) == expected
    assert models()[model].kv_bytes(8192) == 8192 * expected


def test_windows_keep_no_more_than_their_tokens() -> None:
    model = models()["openai/gpt-oss-120b"]
    assert model.kv_bytes(100) == 100 * 73_728
    assert model.kv_bytes(8192) == 8192 * 36_864 + 128 * 36_864


@given(st.sampled_from(sorted(models())), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_take_more(name: str, fewer: int, more: int) -> None:
    model = models()[name]
    assert model.kv_bytes(fewer) <= model.kv_bytes(fewer + more)


@pytest.mark.parametrize("name", sorted(models()))
def test_figures_are_plausible(name: str) -> None:
    model = models()[name]
    assert model.active <= model.parameters
    assert model.windows is None or model.windows.layers < model.layers
