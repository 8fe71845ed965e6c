"""Hold what all groups of a stage may do alike: as hosts, as ECS that starts their tasks, and as compile jobs."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from constructs import Construct

from constructs.review.acknowledge import acknowledge_finding


class StageRoles(Construct):
    """Hold ``hosts``, the profile of EC2 hosts, the roles ``execution`` of ECS and ``compilation`` of compile jobs.

    Each group of its own would take five more roles and policies of the template, all alike. A worker's task role is
    its group's: it may replace hosts of no other.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        host = iam.Role(self, "HostRole", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        self.hosts = iam.InstanceProfile(self, "HostProfile", role=host)
        tasks = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
        self.execution = iam.Role(self, "ExecutionRole", assumed_by=tasks)
        self.compilation = iam.Role(self, "CompilationRole", assumed_by=tasks)
        for finding in ("Action::ecs:Submit*", "Resource::*"):
            acknowledge_finding(
                host, f"AwsSolutions-IAM5[{finding}]", "the ECS agent's own calls; CDK limits them to the cluster"
            )
