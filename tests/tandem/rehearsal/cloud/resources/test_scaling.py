"""What scales a service is registered, and keeps the service's count within its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.tandem.rehearsal.cloud.conftest import Deployer


def _service(command: str = "one", least: int = 3, most: int = 5) -> dict[str, Any]:
    container = {"Name": "c", "Image": "i", "Memory": 128, "Command": [command], "Essential": True}
    target = {
        "MinCapacity": least,
        "MaxCapacity": most,
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": {"Fn::Sub": "service/${Cluster}/${Service.Name}"},
    }
    service = {"Cluster": {"Ref": "Cluster"}, "TaskDefinition": {"Ref": "Task"}}
    return {
        "Cluster": {"Type": "AWS::ECS::Cluster"},
        "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [container]}},
        "Service": {"Type": "AWS::ECS::Service", "Properties": service},
        "Target": {"Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": target},
    }


@pytest.fixture
def deployed(deployer: Deployer) -> Iterator[dict[str, str]]:
    yield deployer.round_trip("scaled", _service())
    assert deployer.delete("scaled") == "DELETE_COMPLETE"


def _count(deployer: Deployer, ids: dict[str, str]) -> int:
    found = deployer.client("ecs").describe_services(cluster=ids["Cluster"], services=[ids["Service"]])
    return int(found["services"][0]["desiredCount"])


def test_a_service_without_a_count_is_brought_within_the_bounds(deployer: Deployer, deployed: dict[str, str]) -> None:
    assert _count(deployer, deployed) == 3
    deployer.update("scaled", _service(least=4, most=5))
    assert _count(deployer, deployed) == 4
    deployer.update("scaled", _service(least=1, most=2))
    assert _count(deployer, deployed) == 2


def test_a_new_revision_leaves_the_count_alone(deployer: Deployer, deployed: dict[str, str]) -> None:
    deployer.client("ecs").update_service(cluster=deployed["Cluster"], service=deployed["Service"], desiredCount=5)
    deployer.update("scaled", _service("two"))
    assert _count(deployer, deployed) == 5
