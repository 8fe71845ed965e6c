"""What workers published tells of providers and leases, without a way into the VPC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runtime.handoff import metrics
from runtime.handoff.metrics import Metric
from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import client, judge


def published(metric: Metric, value: float, *, stage: str = "prefill", minutes: int = 2, name: str = "small") -> None:
    dimensions = [{"Name": metrics.DEPLOYMENT, "Value": name}, {"Name": metrics.STAGE, "Value": stage}]
    datum = {"MetricName": metric.name, "Dimensions": dimensions, "Value": value}
    datum["Timestamp"] = datetime.now(UTC) - timedelta(minutes=minutes)
    client("cloudwatch").put_metric_data(Namespace=metrics.NAMESPACE, MetricData=[datum])


def judged(check: str, provider: str = "cs3") -> Result:
    """Judge a deployment of which nothing but the published metrics is there."""
    return judge(check, deployment(provider))


def test_every_worker_on_efa_passes() -> None:
    published(metrics.EFA_IN_USE, 1.0)
    result = judged("efa-provider")
    assert result.verdict is Verdict.PASS
    assert result.found == "every worker of prefill had EFA devices open for 15 minutes (CloudWatch)"


def test_one_worker_on_another_way_fails() -> None:
    published(metrics.EFA_IN_USE, 1.0)
    published(metrics.EFA_IN_USE, 0.0, minutes=5)
    result = judged("efa-provider")
    assert (result.verdict, result.found) == (
        Verdict.FAIL,
        "a worker of prefill went another way in the last 15 minutes",
    )


def test_the_stage_is_named() -> None:
    published(metrics.EFA_IN_USE, 1.0)
    published(metrics.EFA_IN_USE, 0.0, stage="decode")
    assert judged("efa-provider", "vllm").found.startswith("a worker of decode went")


@pytest.mark.parametrize(("minutes", "name"), [(40, "small"), (2, "other")])
@pytest.mark.parametrize("check", ["efa-provider", "leases"])
def test_what_is_old_or_anothers_tells_nothing(check: str, minutes: int, name: str) -> None:
    for metric in (metrics.EFA_IN_USE, metrics.KV_LEASE_EXPIRED):
        published(metric, 1.0, minutes=minutes, name=name)
    assert judged(check).verdict is Verdict.UNKNOWN


def test_leases_that_are_read_in_time_pass() -> None:
    published(metrics.KV_LEASE_EXPIRED, 0.0)
    published(metrics.KV_CACHE_USAGE, 0.25)
    result = judged("leases")
    assert result.verdict is Verdict.PASS
    assert result.found == "no lease expired in 15 minutes; at most 25% of a worker's KV blocks in use"


def test_expired_leases_fail_with_their_number() -> None:
    published(metrics.KV_LEASE_EXPIRED, 2.0)
    published(metrics.KV_LEASE_EXPIRED, 1.0, minutes=3)
    published(metrics.KV_TRANSFERS_FAILED, 4.0)
    result = judged("leases")
    assert result.verdict is Verdict.FAIL
    assert result.found.startswith("in 15 minutes 3 leases expired unread, 4 transfers failed; ")


@pytest.mark.parametrize("check", ["efa-provider", "leases", "versions"])
def test_a_deployment_without_workers_passes(check: str) -> None:
    assert judged(check, "openai").verdict is Verdict.PASS
