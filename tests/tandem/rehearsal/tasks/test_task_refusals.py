"""What ECS would not run is an error that says why; every other service is read."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.hosts import TaskError
from tandem.rehearsal.tasks.task import Sidecar, deployed_tasks
from tests.tandem.rehearsal.deployed import Resources, container, deployed, resources


def refused(aws: Api, changed: Resources) -> str:
    with deployed(aws, changed), pytest.raises(TaskError) as raised:
        deployed_tasks(aws)
    return str(raised.value)


def change(name: str, **properties: Any) -> Resources:
    changed = resources()
    changed[name]["Properties"].update(properties)
    return changed


def test_deleted_services_have_no_tasks(aws: Api) -> None:
    before = deployed_tasks(aws)
    with deployed(aws, resources()):
        assert len(deployed_tasks(aws)) == len(before) + 2
    assert deployed_tasks(aws) == before


@pytest.mark.parametrize(
    ("ports", "told"),
    [([], "its task maps no port of vllm"), ([5559, 5560], "its task maps 5559, 5560 of vllm")],
)
def test_a_missing_port_mapping_is_named(aws: Api, ports: list[int], told: str) -> None:
    changed = resources()
    container(changed, "WorkerTask")["PortMappings"] = [{"ContainerPort": port} for port in ports]
    message = refused(aws, changed)
    assert message == f"service worker registers port 8100 of container vllm; {told}: add the port mapping"


def test_a_registration_of_another_container_is_named(aws: Api) -> None:
    registries = resources()["Worker"]["Properties"]["ServiceRegistries"]
    registries[0]["ContainerName"] = "sidecar"
    assert "registers port 8100 of container sidecar" in refused(aws, change("Worker", ServiceRegistries=registries))


def test_too_few_hosts_are_counted(aws: Api) -> None:
    message = refused(aws, change("Worker", DesiredCount=3))
    assert message == "service worker wants 3 hosts and its capacity provider has 2: raise the instance group's size"


def test_a_service_on_nothing_is_refused(aws: Api) -> None:
    changed = resources()
    del changed["Worker"]["Properties"]["CapacityProviderStrategy"]
    assert refused(aws, changed) == "service worker has neither a capacity provider nor network interfaces"


def daemon(attributes: str) -> Resources:
    """Return the small deployment with its worker a daemon on hosts that have ``attributes``."""
    changed = resources()
    worker = changed["Worker"]["Properties"]
    for key in ("CapacityProviderStrategy", "DesiredCount"):
        del worker[key]
    constraint = {"Type": "memberOf", "Expression": "attribute:tandem.group == trn2"}
    worker.update(SchedulingStrategy="DAEMON", LaunchType="EC2", PlacementConstraints=[constraint])
    script = f"echo 'ECS_INSTANCE_ATTRIBUTES={attributes}' >> /etc/ecs/ecs.config"
    changed["Template"]["Properties"]["LaunchTemplateData"]["UserData"] = {"Fn::Base64": script}
    return changed


def test_a_daemon_runs_on_every_host_with_its_attribute(aws: Api) -> None:
    with deployed(aws, daemon('{"tandem.group": "trn2"}')) as ids:
        [worker] = [t for t in deployed_tasks(aws) if t.security_groups == (ids["WorkerGroup"],)]
        assert worker.desired_count == 2


def test_a_daemon_that_no_host_suits_is_refused(aws: Api) -> None:
    message = refused(aws, daemon('{"tandem.group": "trn1"}'))
    assert message.startswith("no host of the cluster suits service worker, whose constraints are: attribute:tandem")


def test_hosts_without_a_security_group_are_refused(aws: Api) -> None:
    changed = resources()
    del changed["Template"]["Properties"]["LaunchTemplateData"]["NetworkInterfaces"]
    assert "the hosts of service worker have no security group: add one" in refused(aws, changed)


def test_a_host_without_network_interfaces_of_its_own_has_groups_too(aws: Api) -> None:
    changed = resources()
    data = changed["Template"]["Properties"]["LaunchTemplateData"]
    del data["NetworkInterfaces"]
    data["SecurityGroupIds"] = [{"Fn::GetAtt": ["WorkerGroup", "GroupId"]}]
    with deployed(aws, changed) as ids:
        found = [task.security_groups for task in deployed_tasks(aws) if task.service == "worker"]
        assert (ids["WorkerGroup"],) in found


def test_a_second_container_stands_beside_the_first(aws: Api) -> None:
    changed = resources()
    second = {**container(changed, "WorkerTask"), "Name": "collector", "Command": ["--config=x"], "PortMappings": []}
    changed["WorkerTask"]["Properties"]["ContainerDefinitions"].append(second)
    with deployed(aws, changed) as ids:
        [worker] = [task for task in deployed_tasks(aws) if task.security_groups == (ids["WorkerGroup"],)]
    assert worker.container == "vllm"
    assert worker.sidecars == (Sidecar(container="collector", image="example.com/vllm:1", command=("--config=x",)),)
