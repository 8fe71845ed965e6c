"""Find what a deployed service runs on: instances of a capacity provider, or network interfaces of its own."""

from __future__ import annotations

from typing import Any

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.errors import RehearsalError


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


def _instance_groups(aws: Api, service: dict[str, Any]) -> list[dict[str, Any]]:
    names = [strategy["capacityProvider"] for strategy in service.get("capacityProviderStrategy", [])]
    if not names:
        raise TaskError(f"service {service['serviceName']} has neither a capacity provider nor network interfaces")
    providers = aws.client("ecs").describe_capacity_providers(capacityProviders=names)["capacityProviders"]
    wanted = {provider["autoScalingGroupProvider"]["autoScalingGroupArn"] for provider in providers}
    groups = aws.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    return [group for group in groups if wanted & {group["AutoScalingGroupARN"], group["AutoScalingGroupName"]}]


def _require_hosts(service: dict[str, Any], groups: list[dict[str, Any]]) -> None:
    hosts = sum(len(group["Instances"]) for group in groups)
    if hosts < service["desiredCount"]:
        raise TaskError(
            f"service {service['serviceName']} wants {service['desiredCount']} hosts and its capacity provider has "
            f"{hosts}: raise the instance group's size"
        )


def _interface_groups(aws: Api, group: dict[str, Any]) -> list[str]:
    template = group["LaunchTemplate"]
    versions = aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=[template["Version"]]
    )["LaunchTemplateVersions"]
    data = versions[0]["LaunchTemplateData"]
    of_interfaces = [name for interface in data.get("NetworkInterfaces", []) for name in interface.get("Groups", [])]
    return [*data.get("SecurityGroupIds", []), *of_interfaces]
