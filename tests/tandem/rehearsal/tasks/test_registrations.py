"""Running tasks are found where their services say: in Cloud Map, and behind the load balancer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.agent import Placement
from tandem.rehearsal.tasks.paths import PathError
from tandem.rehearsal.tasks.registrations import client_url, deregister, register


def discovered(aws: Api, service: str) -> dict[str, dict[str, str]]:
    found = aws.client("servicediscovery")
    # its data calls go to a host named data-…, which the embedded AWS has not
    found.meta.events.register_first("before-call.servicediscovery.*", _plain_host)
    instances = found.discover_instances(NamespaceName="deployed.internal", ServiceName=service)["Instances"]
    return {instance["InstanceId"]: instance["Attributes"] for instance in instances}


@contextmanager
def registered(aws: Api, *placements: Placement) -> Iterator[None]:
    """Register tasks for a while: other tests of the account register others of the same names."""
    for placement in placements:
        register(aws, placement)
    try:
        yield
    finally:
        for placement in placements:
            deregister(aws, placement)


def test_each_worker_is_discovered_by_its_address_and_port(aws: Api, worker: Placement) -> None:
    with registered(aws, worker, replace(worker, address="127.70.0.3", number=2)):
        found = discovered(aws, "workers")
    assert found == {
        "worker": {"AWS_INSTANCE_IPV4": "127.70.0.2", "AWS_INSTANCE_PORT": "8100"},
        "worker-2": {"AWS_INSTANCE_IPV4": "127.70.0.3", "AWS_INSTANCE_PORT": "8100"},
    }


def test_who_registers_again_takes_the_place_of_what_it_registered_before(aws: Api, worker: Placement) -> None:
    service = worker.task.discovery[0].arn.rpartition("/")[2]
    register(aws, worker)
    with registered(aws, replace(worker, address="127.70.0.3")):
        instances = aws.client("servicediscovery").list_instances(ServiceId=service)["Instances"]
    assert [instance["Attributes"]["AWS_INSTANCE_IPV4"] for instance in instances] == ["127.70.0.3"]
    assert discovered(aws, "workers") == {}


def test_a_registry_of_addresses_alone_keeps_no_port(aws: Api, gateway: Placement) -> None:
    assert gateway.task.discovery == ()
    with registered(aws, gateway):
        assert discovered(aws, "gateways") == {"gateway": {"AWS_INSTANCE_IPV4": "127.70.0.1"}}
    assert discovered(aws, "gateways") == {}


def _plain_host(params: dict[str, str], **_: object) -> None:
    params["url"] = params["url"].replace("//data-", "//")


def test_a_gateway_is_a_target_of_the_load_balancer(aws: Api, gateway: Placement, ids: dict[str, str]) -> None:
    with registered(aws, gateway):
        health = aws.client("elbv2").describe_target_health(TargetGroupArn=ids["Targets"])["TargetHealthDescriptions"]
    assert [entry["Target"] for entry in health] == [{"Id": "127.70.0.1", "Port": 8080}]


def test_clients_come_through_the_target_group(aws: Api, gateway: Placement) -> None:
    assert client_url(aws, gateway) == "http://127.70.0.1:8080"


def test_a_task_behind_no_load_balancer_has_no_clients(aws: Api, worker: Placement) -> None:
    with pytest.raises(PathError, match="service worker stands behind no load balancer: attach it to a target group"):
        client_url(aws, worker)


def test_a_target_group_that_no_listener_forwards_to_brings_no_clients(
    aws: Api, gateway: Placement, ids: dict[str, str]
) -> None:
    group = {"Name": "idle", "Protocol": "HTTP", "Port": 8080, "VpcId": ids["Vpc"], "TargetType": "ip"}
    arn = aws.client("elbv2").create_target_group(**group)["TargetGroups"][0]["TargetGroupArn"]
    task = replace(gateway.task, targets=(replace(gateway.task.targets[0], arn=arn),))
    with pytest.raises(PathError, match="service gateway stands behind no load balancer"):
        client_url(aws, replace(gateway, task=task))


def test_a_load_balancer_that_may_not_reach_the_task_is_named(
    aws: Api, gateway: Placement, ids: dict[str, str]
) -> None:
    task = replace(gateway.task, security_groups=(ids["WorkerGroup"],))
    message = "load balancer to service gateway: no security group of the receiver admits port 8080 from the sender"
    with pytest.raises(PathError, match=message):
        client_url(aws, replace(gateway, task=task))
