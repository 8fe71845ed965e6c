"""Find what a deployment has in AWS, by its stacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from tandem.doctor.aws import Aws
from tandem.doctor.result import UndeterminedError
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages

DECODE: Final = "decode"
"""The kind of the stack that holds the decode endpoint's secret; the stacks of workers bear their stage's name."""
GATEWAY: Final = "gateway"
"""The kind of the gateway's stack."""
_SERVICES_A_CALL = 10
_TASKS_A_CALL = 100


@dataclass(frozen=True, slots=True)
class Host:
    """Hold one worker host: EC2's description of it, and the launch template data of its Auto Scaling group."""

    instance: dict[str, Any]
    template: dict[str, Any]

    @property
    def id(self) -> str:
        """The instance's id."""
        return str(self.instance["InstanceId"])


def physical_ids(aws: Aws, deployment: Deployment, kind: str, resource_type: str) -> list[str]:
    """Return the physical ids of the resources of one type in a stack, named by its kind.

    Raises ``UndeterminedError`` where the stack is not deployed.
    """
    stack = f"{deployment.name}-{kind}"
    pages = aws.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    try:
        rows = [row for page in pages for row in page["StackResourceSummaries"]]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            raise UndeterminedError(f"stack {stack} is not deployed", "deploy first, then ask again") from error
        raise
    found = [row for row in rows if row["ResourceType"] == resource_type and "DELETE" not in row["ResourceStatus"]]
    return [row["PhysicalResourceId"] for row in found if row.get("PhysicalResourceId")]


def output(aws: Aws, deployment: Deployment, kind: str, key: str) -> str:
    """Return an output of a stack, named by its kind; raise ``UndeterminedError`` where it is not there."""
    stack = f"{deployment.name}-{kind}"
    try:
        [described] = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            raise UndeterminedError(f"stack {stack} is not deployed", "deploy first, then ask again") from error
        raise
    found = [entry["OutputValue"] for entry in described.get("Outputs", []) if entry["OutputKey"] == key]
    if not found:
        raise UndeterminedError(f"stack {stack} has no output {key} yet", "finish the deploy, then ask again")
    return str(found[0])


def ecs_services(aws: Aws, deployment: Deployment) -> list[dict[str, Any]]:
    """Return ECS's description of every service: the workers' and the gateway's."""
    kinds = [*(stage for stage, _ in stages(deployment)), GATEWAY]
    return [service for kind in kinds for service in stage_services(aws, deployment, kind)]


def running_tasks(aws: Aws, service: dict[str, Any]) -> list[dict[str, Any]]:
    """Return ECS's description of every running task of a service."""
    ecs, cluster = aws.client("ecs"), service["clusterArn"]
    pages = ecs.get_paginator("list_tasks").paginate(cluster=cluster, serviceName=service["serviceName"])
    arns = [arn for page in pages for arn in page["taskArns"]]
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), _TASKS_A_CALL):
        found += ecs.describe_tasks(cluster=cluster, tasks=arns[start : start + _TASKS_A_CALL])["tasks"]
    return found


def hosts(aws: Aws, deployment: Deployment) -> list[Host]:
    """Return every host in service; raise ``UndeterminedError`` where there is none."""
    found = [
        host
        for stage, _ in stages(deployment)
        for group in host_groups(aws, deployment, stage)
        for host in _hosts_of(aws, group)
    ]
    if not found and deployment.prefill:
        raise UndeterminedError("no worker host is in service", "see what check hosts-in-service says")
    return found


def host_groups(aws: Aws, deployment: Deployment, stage: str) -> list[dict[str, Any]]:
    """Return Auto Scaling's description of each instance group of a stage."""
    names = physical_ids(aws, deployment, stage, "AWS::AutoScaling::AutoScalingGroup")
    pages = (
        aws.client("autoscaling").get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=names)
    )
    return [group for page in pages for group in page["AutoScalingGroups"]] if names else []


def in_service(group: dict[str, Any]) -> list[str]:
    """Return the ids of the group's instances in service."""
    return [one["InstanceId"] for one in group["Instances"] if one["LifecycleState"] == "InService"]


def stage_services(aws: Aws, deployment: Deployment, kind: str) -> Iterator[dict[str, Any]]:
    """Yield ECS's description of every service of one stack."""
    arns = physical_ids(aws, deployment, kind, "AWS::ECS::Service")
    for start in range(0, len(arns), _SERVICES_A_CALL):
        some = arns[start : start + _SERVICES_A_CALL]
        cluster = some[0].split("/")[-2]  # a stack has one cluster, which its services' ARNs name
        yield from aws.client("ecs").describe_services(cluster=cluster, services=some)["services"]


def _hosts_of(aws: Aws, group: dict[str, Any]) -> Iterator[Host]:
    ids = in_service(group)
    if not ids:
        return
    ec2, wanted = aws.client("ec2"), group["LaunchTemplate"]
    versions = ec2.describe_launch_template_versions(
        LaunchTemplateId=wanted["LaunchTemplateId"], Versions=[wanted["Version"]]
    )
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    for page in ec2.get_paginator("describe_instances").paginate(InstanceIds=ids):
        for reservation in page["Reservations"]:
            yield from (Host(instance, data) for instance in reservation["Instances"])
