"""Answer the EC2 calls that moto lacks: placement groups and capacity reservations.

State lives on moto's own EC2 backend, so that a reset of the backend forgets it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError

from tandem.rehearsal.cloud.resource import random_id


def _state(response: Any, name: str) -> dict[str, dict[str, Any]]:
    backend = response.ec2_backend
    state: dict[str, dict[str, Any]] = backend.__dict__.setdefault(f"embedded_{name}", {})
    return state


def _params(response: Any) -> dict[str, Any]:
    params: dict[str, Any] = response._get_params()  # moto offers no public way to a request's parameters
    return params


def _create_group(response: Any) -> ActionResult:
    params, groups = _params(response), _state(response, "placement_groups")
    name = params["GroupName"]
    if name in groups:
        raise EC2ClientError("InvalidPlacementGroup.Duplicate", f"The placement group '{name}' is duplicated.")
    groups[name] = {
        "GroupName": name,
        "GroupId": random_id("pg"),
        "State": "available",
        "Strategy": params.get("Strategy", "cluster"),
        "Tags": [tag for each in params.get("TagSpecification", []) for tag in each.get("Tag", [])],
    }
    return ActionResult({"PlacementGroup": groups[name]})


def _delete_group(response: Any) -> ActionResult:
    name, groups = _params(response)["GroupName"], _state(response, "placement_groups")
    if groups.pop(name, None) is None:
        raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The placement group '{name}' is unknown.")
    return EmptyResult()


def _describe_groups(response: Any) -> ActionResult:
    wanted = _params(response).get("GroupName")
    groups = _state(response, "placement_groups").values()
    return ActionResult({"PlacementGroups": [one for one in groups if not wanted or one["GroupName"] in wanted]})


def _create_reservation(response: Any) -> ActionResult:
    params, reservations = _params(response), _state(response, "capacity_reservations")
    kept = ("InstanceType", "InstancePlatform", "AvailabilityZone", "PlacementGroupArn", "InstanceMatchCriteria")
    one = {key: params[key] for key in kept if key in params}
    one |= {"CapacityReservationId": random_id("cr"), "State": "active"}
    one |= {"TotalInstanceCount": int(params["InstanceCount"]), "AvailableInstanceCount": int(params["InstanceCount"])}
    reservations[one["CapacityReservationId"]] = one
    return ActionResult({"CapacityReservation": one})


def _cancel_reservation(response: Any) -> ActionResult:
    wanted = _params(response)["CapacityReservationId"]
    if _state(response, "capacity_reservations").pop(wanted, None) is None:
        raise EC2ClientError("InvalidCapacityReservationId.NotFound", f"The ID '{wanted}' does not exist")
    return ActionResult({"Return": True})


def _describe_reservations(response: Any) -> ActionResult:
    return ActionResult({"CapacityReservations": list(_state(response, "capacity_reservations").values())})


ACTIONS: dict[str, Callable[[Any], ActionResult]] = {
    "create_placement_group": _create_group,
    "delete_placement_group": _delete_group,
    "describe_placement_groups": _describe_groups,
    "create_capacity_reservation": _create_reservation,
    "cancel_capacity_reservation": _cancel_reservation,
    "describe_capacity_reservations": _describe_reservations,
}
"""Map the names by which moto's EC2 dispatches to what answers."""
