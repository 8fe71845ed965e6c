"""vLLM's metrics, as vLLM's own stand-in and a real one expose them."""

from __future__ import annotations

from runtime.handoff import metrics
from runtime.prefill import scrape
from runtime.standins.vllm.metrics import Metrics

TWO_ENGINES = """\
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="org/model {odd}"} 0.25
vllm:nixl_num_kv_expired_reqs_total{engine="0",model_name="org/model {odd}"} 2.0
vllm:nixl_num_kv_expired_reqs_total{engine="1",model_name="org/model {odd}"} 3.0
vllm:nixl_num_kv_expired_reqs_created{engine="0",model_name="org/model {odd}"} 1.7e+09
vllm:nixl_bytes_transferred_bucket{engine="0",le="2048.0"} 9.0
vllm:nixl_bytes_transferred_sum{engine="0"} 1.5e+06
process_open_fds 12.0
"""


def test_engines_are_summed_and_other_metrics_left_alone() -> None:
    assert scrape.read(TWO_ENGINES) == {
        metrics.KV_CACHE_USAGE: 0.25,
        metrics.KV_LEASE_EXPIRED: 5.0,
        metrics.KV_TRANSFER_BYTES: 1_500_000.0,
    }


def test_the_stand_in_exposes_what_is_read() -> None:
    stand_in = Metrics("org/model")
    stand_in.gauge("kv_cache_usage_perc", "", lambda: 0.5)
    stand_in.gauge("num_requests_waiting", "", lambda: 3)
    stand_in.kv_expired.inc(4)
    found = scrape.read(stand_in.text().decode())
    assert set(found) == {*scrape.COUNTERS.values(), *scrape.GAUGES.values()}
    assert (found[metrics.KV_LEASE_EXPIRED], found[metrics.KV_CACHE_USAGE]) == (4, 0.5)


def test_nothing_is_made_up_of_an_empty_exposition() -> None:
    assert scrape.read("") == {}
