"""A seal comes back as it was sent, and one that cannot be checked is never taken for none."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.seal import Seal

SEAL = Seal(generation="g", model_digest="sha256:0", block_tokens=16, digests=bytes(range(24)))


def test_comes_back_as_sent() -> None:
    assert Seal.from_params(SEAL.params(), num_tokens=40) == SEAL


def test_a_stock_vllm_sends_none() -> None:
    assert Seal.from_params(None, num_tokens=40) is None


@pytest.mark.parametrize("tokens", [1, 32, 49])
def test_every_block_needs_its_digest(tokens: int) -> None:
    with pytest.raises(HandoffError, match="a digest for each block") as refused:
        Seal.from_params(SEAL.params(), num_tokens=tokens)
    assert refused.value.code is Code.KV_INCOMPLETE


@pytest.mark.parametrize("tokens", [33, 48])
def test_the_last_block_may_be_shorter(tokens: int) -> None:
    assert Seal.from_params(SEAL.params(), num_tokens=tokens) == SEAL


@pytest.mark.parametrize(
    "change",
    [
        {"generation": ""},
        {"generation": 1},
        {"model_digest": None},
        {"algorithm": "none"},
        {"algorithm": ["xxh3-64"]},
        {"block_tokens": 0},
        {"block_tokens": True},
        {"block_tokens": "16"},
        {"digests": None},
        {"digests": "A"},
        {"digests": "?" * 32},
        {"digests": "é"},
    ],
)
def test_refuses_what_it_cannot_check(change: dict[str, Any]) -> None:
    with pytest.raises(HandoffError, match="seal is unusable"):
        Seal.from_params(SEAL.params() | change, num_tokens=40)


@pytest.mark.parametrize("given", [{}, [], "", 0, False, "seal", *({n: v} for n, v in SEAL.params().items())])
def test_refuses_what_is_no_seal(given: object) -> None:
    with pytest.raises(HandoffError, match="seal is unusable"):
        Seal.from_params(given, num_tokens=40)
