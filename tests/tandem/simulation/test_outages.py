"""Hosts that fail: what they had is done again elsewhere, and nobody else is disturbed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tandem.simulation.outages import Outages
from tandem.simulation.replay import replay
from tests.tandem.simulation.sites import SITE, trace

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
