"""Worker hosts as Auto Scaling and EC2 describe them: moto attaches no EFA interface and knows no placement."""

from __future__ import annotations

from typing import Any

from tandem.doctor.result import Result
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge, stack

GROUP = "small-group"


def interface(card: int, device: int, kind: str = "efa") -> dict[str, Any]:
    """Return a launch template's network interface."""
    return {"NetworkCardIndex": card, "DeviceIndex": device, "InterfaceType": kind}


def attached(card: int, device: int, kind: str = "efa", status: str = "attached") -> dict[str, Any]:
    """Return an instance's network interface."""
    return {
        "InterfaceType": kind,
        "Attachment": {"NetworkCardIndex": card, "DeviceIndex": device, "Status": status},
    }


def instance(number: int, *interfaces: dict[str, Any], group: str = "", zone: str = "us-east-2b") -> dict[str, Any]:
    """Return EC2's description of a host."""
    return {
        "InstanceId": f"i-{number}",
        "NetworkInterfaces": list(interfaces),
        "Placement": {"GroupName": group, "AvailabilityZone": zone},
    }


def described(ids: list[str]) -> dict[str, Any]:
    """Return Auto Scaling's description of a group with these instances in service, and one that leaves."""
    states = {**dict.fromkeys(ids, "InService"), "i-leaving": "Terminating"}
    common = {"AvailabilityZone": "us-east-2b", "HealthStatus": "Healthy", "ProtectedFromScaleIn": False}
    return {
        "AutoScalingGroupName": GROUP,
        "MinSize": 0,
        "MaxSize": 9,
        "DesiredCapacity": len(ids),
        "DefaultCooldown": 300,
        "AvailabilityZones": ["us-east-2b"],
        "HealthCheckType": "EC2",
        "CreatedTime": 0,
        "LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "3"},
        "Instances": [{"InstanceId": name, "LifecycleState": state, **common} for name, state in states.items()],
    }


def judged(check: str, template: dict[str, Any], *instances: dict[str, Any]) -> Result:
    """Judge a deployment that has these hosts, launched from one template."""
    group = described([one["InstanceId"] for one in instances])
    return judge(
        check,
        deployment(),
        cloudformation=stack(("AWS::AutoScaling::AutoScalingGroup", GROUP)),
        autoscaling=answering("autoscaling", ("describe_auto_scaling_groups", {"AutoScalingGroups": [group]})),
        ec2=answering(
            "ec2",
            (
                "describe_launch_template_versions",
                {"LaunchTemplateVersions": [{"VersionNumber": 3, "LaunchTemplateData": template}]},
            ),
            ("describe_instances", {"Reservations": [{"Instances": [one]} for one in instances]}),
        ),
    )
