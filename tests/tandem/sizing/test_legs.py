"""The legs of a request, against arithmetic done by hand and the laws that any such estimate must keep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.catalog.machines import machines
from tandem.catalog.models import models
from tandem.sizing import legs
from tandem.sizing.worker import Worker

LLAMA = models()["meta-llama/Llama-3.3-70B-Instruct"]
OSS = models()["openai/gpt-oss-120b"]
TRN2 = machines().accelerators["trainium2"]
HOST = Worker.on(LLAMA, TRN2, 16, machines())
_TOKENS = st.integers(1, 200_000)


def test_prefill_work_by_hand() -> None:
    linear = 2 * 70.6e9 * 1000
    attention = 4 * 80 * 64 * 128 * 1000 * 1000 / 2
    assert legs.prefill_flops(LLAMA, 1000) == pytest.approx(linear + attention)


def test_a_window_bounds_attention() -> None:
    full = 4 * 64 * 64 * (18 * 1e4 * 1e4 / 2 + 18 * 1e4 * 128)
    assert legs.prefill_flops(OSS, 1e4) == pytest.approx(2 * 5.1e9 * 1e4 + full)


@given(_TOKENS, _TOKENS)
def test_a_cached_prefix_saves_its_own_work_and_no_more(cached: int, new: int) -> None:
    whole = legs.prefill_flops(LLAMA, cached + new)
    assert whole == pytest.approx(legs.prefill_flops(LLAMA, cached) + legs.prefill_flops(LLAMA, cached + new, cached))


def test_prefill_seconds_by_hand_and_never_less_than_reading_the_weights() -> None:
    def seconds(tokens: int) -> float:
        return legs.prefill_seconds(LLAMA, tokens, HOST)

    assert seconds(8192) == pytest.approx(legs.prefill_flops(LLAMA, 8192) / (16 * 667e12 * 0.25))
    assert seconds(1) == pytest.approx(0.0159 + 70.6e9 * 2 / (16 * 2900e9 * 0.8))


@given(_TOKENS, st.integers(1, 64))
def test_more_chips_are_never_slower(tokens: int, chips: int) -> None:
    def seconds(chips: int) -> float:
        return legs.prefill_seconds(LLAMA, tokens, Worker.on(LLAMA, TRN2, chips, machines()))

    assert seconds(chips + 1) <= seconds(chips)


def test_links_by_hand() -> None:
    assert legs.efa_gigabytes_per_second(3200, machines()) == pytest.approx(400 * 0.5)
    assert legs.ingress_gigabytes_per_second(4, machines()) == pytest.approx(600 * 0.8)
    assert legs.transfer_seconds(2.68e9, gigabytes_per_second=150) == pytest.approx(0.0179, rel=0.01)


def test_a_decode_step_reads_weights_once_and_each_stream_s_kv() -> None:
    one, two = (legs.decode_seconds(LLAMA, 1000, streams, HOST) for streams in (1, 2))
    assert two - one == pytest.approx(327_680_000 / (16 * 2900e9 * 0.8))


def test_what_aws_measured_of_llama_70b_alone_on_a_trn2_48xlarge() -> None:
    """Stand within 5 % of the Neuron tutorials: 10,000 tokens in 0.576 s, then one in 19.8 ms; 37.9 ms with 405B."""
    assert legs.prefill_seconds(LLAMA, 10_000, HOST) == pytest.approx(0.576, rel=0.05)
    assert legs.decode_seconds(LLAMA, 10_750, 1, HOST) == pytest.approx(0.0198, rel=0.05)
    large = models()["meta-llama/Llama-3.1-405B-Instruct"]
    host = Worker.on(large, TRN2, 16, machines())
    assert legs.decode_seconds(large, 10_750, 1, host) == pytest.approx(0.0379, rel=0.05)


def test_a_measured_speed_goes_before_the_catalog() -> None:
    measured = Worker.on(LLAMA, TRN2, 16, machines(), tokens_per_second=8000)
    assert measured.tokens_per_second(LLAMA) == pytest.approx(8000)
    assert measured.read == HOST.read
