"""Reservations and blocks, in the launch template and on the group's calendar."""

from __future__ import annotations

from typing import Any

import pytest

from tests.templates import only, resources, script, templates

_ID = "cr-0123456789abcdef0"
_ARN = "arn:aws:resource-groups:us-east-2:111122223333:group/ours"
_BLOCK = {"mode": "capacity-block", "zone": "us-east-2b", "ends_at": "2027-01-31T11:30:00Z", "reservation_id": _ID}
_ULTRA = {"mode": "ultraserver-block", "zone": "us-east-2b", "ends_at": "2027-01-31T11:30:00Z", "resource_group": _ARN}
_SPECIFICATION = "CapacityReservationSpecification"


def _data(**capacity: Any) -> dict[str, Any]:
    prefill = templates(prefill__groups__0__capacity=capacity)["prefill"]
    found: dict[str, Any] = only(prefill, "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    return found


def test_on_demand_hosts_share_the_placement_group_and_reserve_nothing() -> None:
    data = _data(mode="on-demand")
    assert "Placement" in data
    assert not {_SPECIFICATION, "InstanceMarketOptions"} & set(data)


def test_spot_hosts_share_the_placement_group_and_are_drained_and_replaced_before_they_go() -> None:
    data = _data(mode="spot")
    assert data["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
    }
    assert "Placement" in data
    assert "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config" in script(data)
    prefill = templates(prefill__groups__0__capacity={"mode": "spot"})["prefill"]
    assert only(prefill, "AWS::AutoScaling::AutoScalingGroup")["CapacityRebalance"] is True


def test_hosts_that_are_no_spot_hosts_hear_of_no_interruption() -> None:
    assert "SPOT" not in script(_data(mode="on-demand"))
    assert "CapacityRebalance" not in only(templates()["prefill"], "AWS::AutoScaling::AutoScalingGroup")


@pytest.mark.parametrize(
    ("target", "key"), [(_ID, "CapacityReservationId"), (_ARN, "CapacityReservationResourceGroupArn")]
)
def test_reserved_hosts_come_from_the_reservation_alone(target: str, key: str) -> None:
    data = _data(mode="reservation", zone="us-east-2b", target=target)
    assert data[_SPECIFICATION] == {
        "CapacityReservationPreference": "capacity-reservations-only",
        "CapacityReservationTarget": {key: target},
    }
    assert "Placement" in data
    assert "InstanceMarketOptions" not in data


@pytest.mark.parametrize(
    ("capacity", "target"),
    [(_BLOCK, {"CapacityReservationId": _ID}), (_ULTRA, {"CapacityReservationResourceGroupArn": _ARN})],
)
def test_hosts_of_a_block_are_launched_into_it_without_a_placement_group(
    capacity: dict[str, Any], target: dict[str, str]
) -> None:
    data = _data(**capacity)
    assert data["InstanceMarketOptions"] == {"MarketType": "capacity-block"}
    assert data[_SPECIFICATION] == {"CapacityReservationTarget": target}
    assert "Placement" not in data


@pytest.mark.parametrize("capacity", [_BLOCK, _ULTRA], ids=["capacity-block", "ultraserver-block"])
@pytest.mark.parametrize(
    ("lead", "start"), [({}, "2027-01-31T10:30:00Z"), ({"lead_minutes": 690}, "2027-01-31T00:00:00Z")]
)
def test_the_group_is_emptied_before_the_block_ends(capacity: dict[str, Any], lead: dict[str, int], start: str) -> None:
    prefill = templates(prefill__groups__0__capacity={**capacity, **lead})["prefill"]
    [group] = resources(prefill, "AWS::AutoScaling::AutoScalingGroup")
    assert only(prefill, "AWS::AutoScaling::ScheduledAction") == {
        "AutoScalingGroupName": {"Ref": group},
        "StartTime": start,
        "MinSize": 0,
        "MaxSize": 0,
        "DesiredCapacity": 0,
    }


def test_capacity_that_does_not_end_has_no_calendar() -> None:
    assert resources(templates()["prefill"], "AWS::AutoScaling::ScheduledAction") == {}


def test_each_group_has_its_own_capacity() -> None:
    group = {"name": "block", "instance_type": "trn2.48xlarge", "count": 2, "tensor_parallel": 64, "capacity": _BLOCK}
    spare = {"name": "spare", "instance_type": "trn1.32xlarge", "count": 1, "tensor_parallel": 32}
    prefill = templates(prefill__groups=[group, spare])["prefill"]
    launch = resources(prefill, "AWS::EC2::LaunchTemplate").values()
    modes = {
        each["LaunchTemplateData"]["InstanceType"]: _SPECIFICATION in each["LaunchTemplateData"] for each in launch
    }
    assert modes == {"trn2.48xlarge": True, "trn1.32xlarge": False}
    expressions = [s["PlacementConstraints"][0]["Expression"] for s in resources(prefill, "AWS::ECS::Service").values()]
    assert sorted(expressions) == ["attribute:tandem.group == block", "attribute:tandem.group == spare"]
