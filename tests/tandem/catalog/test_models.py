"""The table of models against sizes that others computed or published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.catalog.models import missing, models


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


@pytest.mark.parametrize("family", ["Llama-3.1", "Llama-3.3", "Qwen3", "gpt-oss", "GLM-4", "DeepSeek-V3"])
def test_every_family_that_a_plan_is_promised_for_is_there_with_source_and_confidence(family: str) -> None:
    found = [model for name, model in models().items() if family in name]
    assert found
    assert all(model.source and model.confidence in ("high", "medium", "low") for model in found)


def test_models_of_which_nothing_is_told_are_named_as_such() -> None:
    assert "amazon.nova-pro-v1:0" not in models()
    assert missing("amazon.nova-pro-v1:0").startswith(
        "the figures of amazon.nova-pro-v1:0 are unknown: Amazon publishes"
    )
    assert missing("example/model").endswith("add it to models.yaml")
