"""Machines that fail: what they had is done again, or gone on with, elsewhere, and nobody else is disturbed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tandem.simulation.outages import Outages
from tandem.simulation.replay import replay
from tandem.simulation.site import Site, Wafers
from tests.tandem.simulation.sites import LLAMA, SITE, WAFERS, trace

TRAFFIC = trace(np.linspace(0, 600, 1200), np.full(1200, 4000), np.full(1200, 100))


def test_requests_of_a_host_that_fails_are_answered_by_the_others() -> None:
    site = replace(SITE, prefill=(replace(SITE.prefill[0], count=6),))
    sound, broken = replay(site, TRAFFIC), replay(replace(site, outages=Outages(between=300, repair=60)), TRAFFIC)
    assert sound.answered == broken.answered == 1200
    assert broken.ttft.max() > sound.ttft.max()
    assert np.median(broken.ttft) == pytest.approx(np.median(sound.ttft), rel=0.25)


def test_without_a_host_there_is_no_prefill() -> None:
    alone = replace(SITE, prefill=(replace(SITE.prefill[0], count=1),), outages=Outages(between=100, repair=1e6))
    found = replay(alone, TRAFFIC)
    assert found.refused["prefill_unavailable"] > 0
    assert found.answered + found.refused.total() == 1200


def test_hosts_fail_as_often_as_stated_and_not_while_they_are_away() -> None:
    outages = Outages(between=1000, repair=500)
    times = list(outages.times(200, 30_000))
    assert len(times) == pytest.approx(200 * 30_000 / 1500, rel=0.05)
    for host in range(200):
        gaps = np.diff([time for other, time in times if other == host])
        assert (gaps >= 500).all()


TWO_WAFERS = replace(SITE, decode=replace(WAFERS, endpoints=2))
TWO_WORKERS = replace(SITE, decode=(replace(SITE.prefill[0], count=2),))
FORMS = pytest.mark.parametrize("site", [TWO_WAFERS, TWO_WORKERS], ids=["endpoints", "workers"])
ONCE = Outages(between=1000, repair=1e6)
"""Of two machines the first to go leaves the other alone for minutes."""


@FORMS
def test_a_stream_whose_endpoint_fails_goes_on_at_the_other_after_its_last_token(site: Site) -> None:
    """Two requests, one at each; the one that breaks pays for a second prefill in the middle of its answer."""
    gone, _ = sorted(time for _, time in ONCE.times(2, 1e4))[:2]
    began = gone - 0.5 - replay(site, trace(np.zeros(1), np.full(1, 4000), np.full(1, 2000))).ttft[0]
    pair = trace(np.array([began, began, gone + 200]), np.array([4000, 4000, 1]), np.array([2000, 2000, 1]))
    sound, broken = replay(site, pair), replay(replace(site, decode_outages=ONCE), pair)
    assert broken.answered == 3
    assert broken.ttft[:2] == pytest.approx(sound.ttft[:2])
    later = np.sort(broken.tpot[:2] - sound.tpot[:2]) * 1999
    again = sound.prefill[0] + sound.handoff[0]
    assert 0 <= later[0] < again / 2, "steps of two streams take longer, and that is all"
    # what it has of the answer is prefilled as well
    assert again < later[1] < 3 * again


@FORMS
def test_what_endpoints_that_fail_had_is_done_once_whatever_happens_when(site: Site) -> None:
    often = replace(site, decode_outages=Outages(between=40, repair=10), outages=Outages(between=90, repair=20))
    traffic = trace(np.append(np.linspace(0, 300, 600), 900.0), np.full(601, 6000), np.full(601, 1500))
    found = replay(often, traffic)
    assert found.answered + found.refused.total() == 601
    assert set(found.refused) <= {"decode_unavailable", "decode_failed", "prefill_unavailable", "prefill_failed"}
    assert found.answered > 200
    assert np.nanmax(found.tpot) > np.nanmedian(found.tpot) * 1.2
    for part, use in found.use.items():
        assert use.max() <= 1 + 1e-9, part
        assert use[-20:-1].max() == 0, f"{part} is held by nobody's request"


@FORMS
def test_without_an_endpoint_nothing_is_decoded(site: Site) -> None:
    found = replay(replace(site, decode_outages=Outages(between=100, repair=1e6)), TRAFFIC)
    assert found.refused["decode_unavailable"] > 0
    assert found.answered + found.refused.total() == 1200


@FORMS
def test_nothing_of_an_endpoint_that_came_back_is_taken_for_what_it_had_before(site: Site) -> None:
    """A READ that was due when it was away is of nobody, though the same request is there again, and reads slowly."""
    slow, traffic = LLAMA.kv_bytes(4000) / 2.0, trace(np.linspace(0, 900, 300), np.full(300, 4000), np.full(300, 20))
    decode = (
        replace(site.decode, ingress=slow, kv_bytes=LLAMA.kv_bytes(60_000))
        if isinstance(site.decode, Wafers)
        else (replace(TWO_WORKERS.prefill[0], count=2, egress=slow),)
    )
    found = replay(replace(site, decode=decode, decode_outages=Outages(between=3, repair=0.5)), traffic)
    assert found.answered + found.refused.total() == 300
    assert found.answered > 100
    assert found.refused.keys() <= {"decode_unavailable"}
    assert np.nanmin(found.handoff) >= 2
