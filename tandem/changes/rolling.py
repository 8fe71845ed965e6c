"""Tell which updates replace what runs, bit by bit, while the resource itself stays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

REVISIONS = {"AWS::ECS::TaskDefinition": "a new revision, which services roll over to"}
"""Types of which every change makes a new one beside the old, on purpose: a replacement that stops nothing."""

DEPLOYING = frozenset(
    {
        "ForceNewDeployment",
        "LoadBalancers",
        "NetworkConfiguration",
        "PlatformVersion",
        "ServiceConnectConfiguration",
        "ServiceRegistries",
        "TaskDefinition",
        "VolumeConfigurations",
        "VpcLatticeConfigurations",
    }
)
"""Properties of an ECS service that start a new deployment of it (ECS API reference, UpdateService)."""

_HOSTS = {"LaunchConfigurationName", "LaunchTemplate", "MixedInstancesPolicy", "VPCZoneIdentifier"}
"""Properties of an Auto Scaling group that say what its hosts are (CloudFormation user guide, UpdatePolicy)."""

VERSIONS = {"AWS::EC2::LaunchTemplate": ("LatestVersionNumber", "DefaultVersionNumber")}
"""Attributes that every update of a type changes; whoever refers to one changes as well."""


def rolling(resource: Mapping[str, Any], changed: Sequence[str]) -> str | None:
    """Return how an update of ``changed`` reaches what runs, or ``None`` where nothing running is replaced."""
    match resource["Type"]:
        case "AWS::ECS::Service" if DEPLOYING.intersection(changed):
            return "tasks are replaced within the deployment configuration"
        case "AWS::EC2::LaunchTemplate":
            return "a new version, for hosts started from now on"
        case "AWS::AutoScaling::AutoScalingGroup" if _HOSTS.intersection(changed):
            if "AutoScalingRollingUpdate" in resource.get("UpdatePolicy", {}):
                return "hosts are replaced in batches"
            return "hosts started from now on; those that run stay as they are"
        case "AWS::Lambda::Function":
            return "invocations from now on"
    return None
