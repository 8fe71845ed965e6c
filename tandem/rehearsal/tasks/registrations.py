"""Register running tasks as ECS does: in Cloud Map for their callers, in target groups for the load balancer."""

from __future__ import annotations

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.agent import Placement
from tandem.rehearsal.tasks.paths import PathError, require_path


def register(aws: Api, placement: Placement) -> None:
    """Make the task findable wherever its service says."""
    for entry in placement.task.discovery:
        aws.client("servicediscovery").register_instance(
            ServiceId=entry.arn.rpartition("/")[2],
            InstanceId=placement.name,
            Attributes={"AWS_INSTANCE_IPV4": placement.address, "AWS_INSTANCE_PORT": str(entry.port)},
        )
    for arn in placement.task.listed:
        aws.client("servicediscovery").register_instance(
            ServiceId=arn.rpartition("/")[2],
            InstanceId=placement.name,
            Attributes={"AWS_INSTANCE_IPV4": placement.address},
        )
    for entry in placement.task.targets:
        target = {"Id": placement.address, "Port": entry.port}
        aws.client("elbv2").register_targets(TargetGroupArn=entry.arn, Targets=[target])


def deregister(aws: Api, placement: Placement) -> None:
    """Take the task out of all that, as ECS does before it tells it to stop."""
    for arn in (*(entry.arn for entry in placement.task.discovery), *placement.task.listed):
        aws.client("servicediscovery").deregister_instance(ServiceId=arn.rpartition("/")[2], InstanceId=placement.name)
    for entry in placement.task.targets:
        target = {"Id": placement.address, "Port": entry.port}
        aws.client("elbv2").deregister_targets(TargetGroupArn=entry.arn, Targets=[target])


def client_url(aws: Api, placement: Placement) -> str:
    """Return where the load balancer sends clients: through a listener's target group to the task's own address.

    Raise ``PathError`` where no listener forwards to the task, or its security group closes the way.
    """
    balancing = aws.client("elbv2")
    for entry in placement.task.targets:
        group = balancing.describe_target_groups(TargetGroupArns=[entry.arn])["TargetGroups"][0]
        for balancer in group["LoadBalancerArns"]:
            source = balancing.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]
            what = f"load balancer to service {placement.task.service}"
            require_path(aws, source["SecurityGroups"], placement.task.security_groups, entry.port, what)
            return f"{group['Protocol'].lower()}://{placement.address}:{entry.port}"
    raise PathError(f"service {placement.task.service} stands behind no load balancer: attach it to a target group")
