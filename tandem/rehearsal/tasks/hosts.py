"""Find what a deployed service runs on: instances of a capacity provider, or network interfaces of its own."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Final

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.errors import RehearsalError

_ATTRIBUTES: Final = re.compile(r"ECS_INSTANCE_ATTRIBUTES=(\{.*?\})")
_CONSTRAINT: Final = re.compile(r"attribute:(?P<name>[\w./-]+) == (?P<value>[\w./-]+)")


class TaskError(RehearsalError):
    """Say why a deployed service could not run: what real ECS would refuse, too."""


def security_groups(aws: Api, service: dict[str, Any]) -> tuple[str, ...]:
    """Return the security groups of the service's traffic; raise ``TaskError`` where it has too few hosts."""
    own = service.get("networkConfiguration", {}).get("awsvpcConfiguration", {}).get("securityGroups")
    if own:
        return tuple(own)
    groups = _instance_groups(aws, service)
    _require_hosts(service, groups)
    found = {name for group in groups for name in _interface_groups(aws, group)}
    if not found:
        raise TaskError(
            f"the hosts of service {service['serviceName']} have no security group: add one to the template"
        )
    return tuple(sorted(found))


def instance_ids(aws: Api, service: dict[str, Any]) -> tuple[str, ...]:
    """Return the ids of the service's hosts; none where its tasks have network interfaces of their own."""
    if service.get("networkConfiguration", {}).get("awsvpcConfiguration"):
        return ()
    return tuple(each["InstanceId"] for group in _instance_groups(aws, service) for each in group["Instances"])


def desired_count(aws: Api, service: dict[str, Any]) -> int:
    """Return how many tasks ECS would run: a daemon runs one on each of its hosts."""
    if not _is_daemon(service):
        return int(service["desiredCount"])
    return sum(len(group["Instances"]) for group in _instance_groups(aws, service))


def _is_daemon(service: dict[str, Any]) -> bool:
    return bool(service["schedulingStrategy"] == "DAEMON")


def _instance_groups(aws: Api, service: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the groups of the service's capacity providers; a daemon's are all of the cluster's that suit it."""
    if _is_daemon(service):
        [cluster] = aws.client("ecs").describe_clusters(clusters=[service["clusterArn"]])["clusters"]
        return [group for group in _groups_of(aws, cluster["capacityProviders"]) if _suits(aws, group, service)]
    names = [strategy["capacityProvider"] for strategy in service.get("capacityProviderStrategy", [])]
    if not names:
        raise TaskError(f"service {service['serviceName']} has neither a capacity provider nor network interfaces")
    return _groups_of(aws, names)


def _groups_of(aws: Api, names: list[str]) -> list[dict[str, Any]]:
    providers = aws.client("ecs").describe_capacity_providers(capacityProviders=names)["capacityProviders"]
    wanted = {provider["autoScalingGroupProvider"]["autoScalingGroupArn"] for provider in providers}
    groups = aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return [group for group in groups if wanted & {group["AutoScalingGroupARN"], group["AutoScalingGroupName"]}]


def _suits(aws: Api, group: dict[str, Any], service: dict[str, Any]) -> bool:
    """Tell whether the group's hosts have every attribute that the service's constraints ask for."""
    script = base64.b64decode(_template(aws, group).get("UserData", "")).decode()
    found = _ATTRIBUTES.search(script)
    attributes = json.loads(found[1]) if found else {}
    wanted = [_CONSTRAINT.fullmatch(each["expression"]) for each in service["placementConstraints"]]
    return all(each is not None and attributes.get(each["name"]) == each["value"] for each in wanted)


def _require_hosts(service: dict[str, Any], groups: list[dict[str, Any]]) -> None:
    hosts = sum(len(group["Instances"]) for group in groups)
    if _is_daemon(service) and not hosts:
        constraints = ", ".join(each["expression"] for each in service["placementConstraints"]) or "none"
        raise TaskError(
            f"no host of the cluster suits service {service['serviceName']}, whose constraints are: {constraints}; "
            "set ECS_INSTANCE_ATTRIBUTES in the hosts' user data, or raise the instance group's size"
        )
    if hosts < service["desiredCount"]:
        raise TaskError(
            f"service {service['serviceName']} wants {service['desiredCount']} hosts and its capacity provider has "
            f"{hosts}: raise the instance group's size"
        )


def _interface_groups(aws: Api, group: dict[str, Any]) -> list[str]:
    data = _template(aws, group)
    of_interfaces = [name for interface in data.get("NetworkInterfaces", []) for name in interface.get("Groups", [])]
    return [*data.get("SecurityGroupIds", []), *of_interfaces]


def _template(aws: Api, group: dict[str, Any]) -> dict[str, Any]:
    template = group["LaunchTemplate"]
    versions = aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=[template["Version"]]
    )["LaunchTemplateVersions"]
    return dict(versions[0]["LaunchTemplateData"])
