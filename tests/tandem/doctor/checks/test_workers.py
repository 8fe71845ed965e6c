"""Workers in reach tell by themselves which provider and which software they run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge, rows
from tests.tandem.doctor.servers import serving

DISCOVERY, SERVICE = "AWS::ServiceDiscovery::Service", "AWS::ECS::Service"
ARN = "arn:aws:ecs:us-east-2:123456789012:service/cluster/prefill"


@contextmanager
def worker(**said: Any) -> Iterator[int]:
    """Serve a worker's status port on this machine, and yield it."""
    with serving(lambda *_: (200, {}, json.dumps(said))) as address:
        yield int(address.rpartition(":")[2])


def judged(check: str, port: int, *, registered: int = 1, digests: tuple[str, ...] = ()) -> Result:
    """Judge a deployment whose registered workers answer on this machine, and whose tasks have these digests."""
    attributes = {"AWS_INSTANCE_IPV4": "127.0.0.1"}
    instances = [{"Id": f"w{number}", "Attributes": attributes} for number in range(registered)]
    service = {"serviceName": "prefill", "clusterArn": "arn:aws:ecs:us-east-2:123456789012:cluster/cluster"}
    arns = [f"arn:aws:ecs:us-east-2:123456789012:task/cluster/t{number}" for number in range(len(digests))]
    tasks = [{"taskArn": arn, "containers": [{"imageDigest": one}]} for arn, one in zip(arns, digests, strict=True)]
    described = [("describe_tasks", {"tasks": tasks})] if tasks else []
    before = [rows((SERVICE, ARN))] if check == "versions" else []
    return judge(
        check,
        deployment(prefill__status_port=port),
        cloudformation=answering("cloudformation", *before, rows((DISCOVERY, "srv-1"))),
        servicediscovery=answering("servicediscovery", ("list_instances", {"Instances": instances})),
        ecs=answering(
            "ecs", ("describe_services", {"services": [service]}), ("list_tasks", {"taskArns": arns}), *described
        ),
    )


def test_a_worker_on_efa_passes() -> None:
    with worker(state="ready", provider="efa") as port:
        result = judged("efa-provider", port)
    assert (result.verdict, result.found) == (Verdict.PASS, "1 of 1 workers have EFA devices open")


def test_a_worker_on_another_way_is_named() -> None:
    with worker(state="ready", provider="other") as port:
        result = judged("efa-provider", port)
    assert (result.verdict, result.found) == (Verdict.FAIL, "prefill worker 127.0.0.1 uses other")


@pytest.mark.parametrize("said", [{"state": "compiling", "provider": None}, {"state": "starting"}])
def test_a_worker_that_cannot_tell_yet_leaves_it_open(said: dict[str, Any]) -> None:
    with worker(**said) as port:
        assert judged("efa-provider", port).verdict is Verdict.UNKNOWN


def test_workers_out_of_reach_leave_it_to_what_they_published() -> None:
    result = judged("efa-provider", 1024)
    assert (result.verdict, result.found) == (
        Verdict.UNKNOWN,
        "no worker published EfaInUse in the last 15 minutes",
    )


def test_one_digest_and_one_version_pass() -> None:
    with worker(versions={"vllm": "0.24.0"}) as port:
        result = judged("versions", port, digests=("sha256:a", "sha256:a"))
    assert (result.verdict, result.found) == (Verdict.PASS, 'sha256:a; {"vllm": "0.24.0"}')


def test_out_of_reach_the_digests_decide() -> None:
    assert judged("versions", 1024, digests=("sha256:a", "sha256:a")).verdict is Verdict.PASS


def test_a_task_of_another_digest_is_named() -> None:
    result = judged("versions", 1024, digests=("sha256:a", "sha256:b", "sha256:a"))
    assert (result.verdict, result.found) == (
        Verdict.FAIL,
        "prefill task t1 runs sha256:b, most run sha256:a",
    )


def test_without_a_task_nobody_knows() -> None:
    result = judged("versions", 1024)
    assert (result.verdict, result.found) == (Verdict.UNKNOWN, "no task is running")
