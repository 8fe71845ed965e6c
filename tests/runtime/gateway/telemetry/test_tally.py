"""A tally reads like a counter of Prometheus's own client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest

from runtime.gateway.telemetry.tally import Tally


def test_it_is_exposed_as_the_client_s_own_counter_is() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("asked", "Requests.", ("tenant", "outcome"), "m")
    ours.register(tally)
    counter = Counter("asked", "Requests.", ["model", "tenant", "outcome"], registry=theirs)
    for labels in (("a", "success"), ('b"\n', "failed"), ("a", "success")):
        tally.add(1, *labels)
        counter.labels("m", *labels).inc()
    created = (b"# HELP asked_created", b"# TYPE asked_created", b"asked_created")
    expected = [line for line in generate_latest(theirs).splitlines() if not line.startswith(created)]
    assert generate_latest(ours).splitlines() == expected
    assert len(expected) == 4
