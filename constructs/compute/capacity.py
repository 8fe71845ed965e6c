"""Write a group's capacity into its launch template and its Auto Scaling group."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_autoscaling as autoscaling
from constructs import Construct

from tandem.spec.capacity import Capacity, CapacityBlock, OnDemand, Reservation, Spot, UltraServerBlock


def launch_template_data(capacity: Capacity, placement_group_name: str) -> dict[str, Any]:
    """Return what ``capacity`` adds to ``LaunchTemplateData``: market, reservation, placement.

    Hosts of a block stand close together by themselves, and are launched without a placement group (EC2 user guide,
    capacity-blocks-using); all others share one.
    """
    match capacity:
        case OnDemand():
            return {"Placement": {"GroupName": placement_group_name}}
        case Spot():
            # one-time: Auto Scaling itself asks again, and a persistent request would do so beside it
            market = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
            return {
                "Placement": {"GroupName": placement_group_name},
                "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": market},
            }
        case Reservation():
            target = _target(capacity.target)
            only = {"CapacityReservationPreference": "capacity-reservations-only"}
            return {
                "Placement": {"GroupName": placement_group_name},
                "CapacityReservationSpecification": {**only, "CapacityReservationTarget": target},
            }
        case CapacityBlock(reservation_id=wanted) | UltraServerBlock(resource_group=wanted):
            return {
                "InstanceMarketOptions": {"MarketType": "capacity-block"},
                "CapacityReservationSpecification": {"CapacityReservationTarget": _target(wanted)},
            }


def _target(wanted: str) -> dict[str, str]:
    if wanted.startswith("arn:"):
        return {"CapacityReservationResourceGroupArn": wanted}
    return {"CapacityReservationId": wanted}


def empty_before_end(scope: Construct, capacity: Capacity, group: autoscaling.AutoScalingGroup) -> None:
    """Take the group of a block to no hosts, and keep it there, before EC2 terminates them without asking."""
    if isinstance(capacity, CapacityBlock | UltraServerBlock):
        autoscaling.CfnScheduledAction(
            scope,
            "BeforeBlockEnds",
            auto_scaling_group_name=group.auto_scaling_group_name,
            start_time=f"{capacity.scale_in_at:%Y-%m-%dT%H:%M:%SZ}",
            min_size=0,
            max_size=0,
            desired_capacity=0,
        )
