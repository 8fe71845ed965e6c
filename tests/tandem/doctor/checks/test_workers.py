"""Workers in reach tell by themselves which provider and which software they run, once they proved who they are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from runtime.handoff.certificate import Certificate
from runtime.handoff.worker_status import State
from runtime.prefill import status
from runtime.prefill.keys import WorkerKeys
from runtime.prefill.status import Identity, Status
from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.patience import HUNG_SECONDS
from tests.ports import free_port
from tests.tandem.doctor.accounts import DENIED, answering, client, judge, rows

DISCOVERY, SERVICE, SECRET = "AWS::ServiceDiscovery::Service", "AWS::ECS::Service", "AWS::SecretsManager::Secret"
ARN = "arn:aws:ecs:us-east-2:123456789012:service/cluster/prefill"
HOST, KEY = "127.0.0.1", "worker-key"


@contextmanager
def worker(
    state: State = State.READY, provider: str | None = None, versions: Mapping[str, str] | None = None, key: str = KEY
) -> Iterator[int]:
    """Serve a worker's status port on this machine as its supervisor does, and yield the port."""
    port = free_port(HOST)
    certificate, loop, up = Certificate.issue(HOST), asyncio.new_event_loop(), threading.Event()
    ended = asyncio.Event()

    async def serve() -> None:
        keys = WorkerKeys({}, print)
        keys.known = (key,)
        digest = certificate.digest
        identity = Identity(address=HOST, digest=digest, api_key="hidden", keys=keys, versions=versions or {})
        async with status.serving(Status(state, provider), identity, certificate.server(), port):
            up.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert up.wait(HUNG_SECONDS)
        yield port
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def judged(check: str, port: int, *, digests: tuple[str, ...] = (), readable: bool = True) -> Result:
    """Judge a deployment whose registered worker answers on this machine, and whose tasks have these digests."""
    instances = [{"Id": "w0", "Attributes": {"AWS_INSTANCE_IPV4": HOST}}]
    service = {"serviceName": "prefill", "clusterArn": "arn:aws:ecs:us-east-2:123456789012:cluster/cluster"}
    arns = [f"arn:aws:ecs:us-east-2:123456789012:task/cluster/t{number}" for number in range(len(digests))]
    tasks = [{"taskArn": arn, "containers": [{"imageDigest": one}]} for arn, one in zip(arns, digests, strict=True)]
    described = [("describe_tasks", {"tasks": tasks})] if tasks else []
    before = [rows((SERVICE, ARN))] if check == "versions" else []
    secret = client("secretsmanager").create_secret(Name="key", SecretString=KEY)["ARN"]
    reader = client("secretsmanager") if readable else answering("secretsmanager", ("get_secret_value", DENIED))
    return judge(
        check,
        deployment(prefill__status_port=port),
        cloudformation=answering("cloudformation", *before, rows((DISCOVERY, "srv-1")), rows((SECRET, secret))),
        secretsmanager=reader,
        servicediscovery=answering("servicediscovery", ("list_instances", {"Instances": instances})),
        ecs=answering(
            "ecs", ("describe_services", {"services": [service]}), ("list_tasks", {"taskArns": arns}), *described
        ),
    )


def test_a_worker_on_efa_passes() -> None:
    with worker(provider="efa") as port:
        result = judged("efa-provider", port)
    assert (result.verdict, result.found) == (Verdict.PASS, "1 of 1 workers have EFA devices open")


def test_a_worker_on_another_way_is_named() -> None:
    with worker(provider="other") as port:
        result = judged("efa-provider", port)
    assert (result.verdict, result.found) == (Verdict.FAIL, "prefill worker 127.0.0.1 uses other")


@pytest.mark.parametrize("state", [State.COMPILING, State.STARTING])
def test_a_worker_that_cannot_tell_yet_leaves_it_open(state: State) -> None:
    with worker(state) as port:
        assert judged("efa-provider", port).verdict is Verdict.UNKNOWN


def test_one_without_the_worker_key_is_not_believed() -> None:
    with worker(provider="efa", key="another") as port:
        assert judged("efa-provider", port).verdict is Verdict.UNKNOWN


def test_who_may_not_read_the_key_learns_what_was_published() -> None:
    with worker(provider="efa") as port:
        result = judged("efa-provider", port, readable=False)
    assert (result.verdict, "published EfaInUse" in result.found) == (Verdict.UNKNOWN, True)


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
