"""Keep the way to AWS APIs private, and open to what a deployment uses alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Aws
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_AGENT = (
    "ecs:DeregisterContainerInstance",
    "ecs:DiscoverPollEndpoint",
    "ecs:RegisterContainerInstance",
    "ecs:SubmitAttachmentStateChanges",
    "ecs:SubmitContainerStateChange",
    "ecs:SubmitTaskStateChange",
    "ecs:UpdateContainerInstancesState",
)
_ARTIFACTS = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")


@dataclass(frozen=True, slots=True)
class _Way:
    """Allow ``actions`` on those of the account's resources that ``resource`` names; empty: they know no resource."""

    actions: tuple[str, ...]
    resource: str = ""

    def statement(self) -> iam.PolicyStatement:
        kind = self.actions[0].partition(":")[0]
        arn = f"arn:{Aws.PARTITION}:{kind}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{self.resource}"
        return iam.PolicyStatement(
            principals=[iam.AnyPrincipal()],
            actions=list(self.actions),
            resources=[arn if self.resource else "*"],
            conditions={"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}},
        )


_IMAGES = (_Way(("ecr:GetAuthorizationToken",)), _Way(_PULL, "repository/*"))
_Service = ec2.InterfaceVpcEndpointAwsService
_TASKS = {
    "Ecr": (_Service.ECR, _IMAGES),
    "EcrDocker": (_Service.ECR_DOCKER, _IMAGES),
    "SecretsManager": (
        _Service.SECRETS_MANAGER,
        (_Way(("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"), "secret:*"),),
    ),
    "CloudMap": (
        _Service.CLOUD_MAP_DATA_SERVICE_DISCOVERY,
        (_Way(("servicediscovery:DiscoverInstances", "servicediscovery:DiscoverInstancesRevision")),),
    ),
    "Logs": (_Service.CLOUDWATCH_LOGS, (_Way(("logs:CreateLogStream", "logs:PutLogEvents"), "log-group:*"),)),
}
"""What every task asks for, Fargate's and the ECS agent's alike, and how a gateway finds workers and its like."""
_WORKERS = {
    # a worker whose host is broken asks for another
    "AutoScaling": (_Service.AUTOSCALING, (_Way(("autoscaling:SetInstanceHealth",), "autoScalingGroup:*"),)),
    "Ecs": (_Service.ECS, (_Way(_AGENT),)),
    # ECS documents no endpoint policy for these two, by which the agent polls and reports its metrics
    "EcsAgent": (_Service.ECS_AGENT, ()),
    "EcsTelemetry": (_Service.ECS_TELEMETRY, ()),
}
"""What comes with hosts of our own."""


class PrivateEndpoints(Construct):
    """Hold VPC endpoints for the AWS APIs that tasks call, each with a policy: this account's callers and resources.

    Through the S3 endpoint lead the ways to ``artifacts``, to ``weights`` and ``tokenizer`` (S3 URIs) and to ECR's own
    bucket of image layers; no other bucket is reached from the VPC's private subnets.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.Vpc,
        cidr: str,
        private_subnets: Sequence[ec2.SubnetSelection],
        artifacts: s3.IBucket,
        weights: str | None,
        tokenizer: str | None,
        workers: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        bucket = vpc.add_gateway_endpoint(
            "S3", service=ec2.GatewayVpcEndpointAwsService.S3, subnets=list(private_subnets)
        )
        for statement in _buckets(artifacts, weights, tokenizer):
            bucket.add_to_policy(statement)
        group = ec2.SecurityGroup(self, "Group", vpc=vpc, allow_all_outbound=False, description="callers of AWS APIs")
        group.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.HTTPS)
        for name, (service, ways) in (_TASKS | _WORKERS if workers else _TASKS).items():
            endpoint = vpc.add_interface_endpoint(name, service=service, security_groups=[group], open=False)
            for way in ways:
                endpoint.add_to_policy(way.statement())


def _buckets(artifacts: s3.IBucket, weights: str | None, tokenizer: str | None) -> list[iam.PolicyStatement]:
    own = {"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}}
    layers = f"arn:{Aws.PARTITION}:s3:::prod-{Aws.REGION}-starport-layer-bucket/*"
    everyone = [iam.AnyPrincipal()]
    statements = [
        # ECR signs the addresses of layers as itself (ECR user guide, vpc-endpoints, minimum S3 permissions)
        iam.PolicyStatement(principals=everyone, actions=["s3:GetObject"], resources=[layers]),
        iam.PolicyStatement(
            principals=everyone,
            actions=list(_ARTIFACTS),
            resources=[artifacts.arn_for_objects("*")],
            conditions=own,
        ),
    ]
    listed = [artifacts.bucket_arn]
    read = []
    if weights:
        bucket, _, prefix = weights.removeprefix("s3://").partition("/")
        listed.append(f"arn:{Aws.PARTITION}:s3:::{bucket}")
        read.append(f"{listed[-1]}/{prefix}/*")
    if tokenizer:
        read.append(f"arn:{Aws.PARTITION}:s3:::{tokenizer.removeprefix('s3://')}")
    if read:
        statements.append(
            iam.PolicyStatement(principals=everyone, actions=["s3:GetObject"], resources=read, conditions=own)
        )
    listing = ["s3:GetBucketLocation", "s3:ListBucket"]
    return [*statements, iam.PolicyStatement(principals=everyone, actions=listing, resources=listed, conditions=own)]
