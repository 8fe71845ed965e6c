"""Ask the decode endpoints every few minutes whether they are there."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs.observability.logs import program_logs
from constructs.observability.published import published
from constructs.packaging.assets import function_code
from constructs.review.acknowledge import acknowledge_finding, acknowledge_function
from runtime.handoff import metrics, settings

_INTERVAL = Duration.minutes(5)
_HTTPS = 443


class EndpointProbe(Construct):
    """Run ``runtime/functions/decode_probe.py`` in the gateway's subnets, so that it takes the gateway's way out."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        deployment: str,
        secret: secretsmanager.ISecret,
        urls: Sequence[str],
        ports: Sequence[int],
        model: str,
        encryption_key: kms.IKey,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self._deployment = deployment
        self.function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_14,
            handler="runtime.functions.decode_probe.handler",
            code=function_code(),
            timeout=Duration.seconds(90),  # sixteen endpoints, five seconds each
            role=self._role(),
            vpc=vpc,
            security_groups=[self._group(vpc, ports)],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            environment={
                settings.DEPLOYMENT: deployment,
                settings.DECODE_ENDPOINTS: ",".join(urls),
                settings.DECODE_MODEL: model,
                settings.DECODE_SECRET_ARN: secret.secret_arn,
            },
            log_group=program_logs(self, log_retention, encryption_key),
        )
        acknowledge_function(self.function, no_queue="the next probe comes in minutes, and an alarm tells if none does")
        secret.grant_read(self.function)
        events.Rule(
            self,
            "Schedule",
            schedule=events.Schedule.rate(_INTERVAL),
            targets=[targets.LambdaFunction(self.function, retry_attempts=0)],
        )

    def metric_up(self) -> cloudwatch.Metric:
        """Return 1 while the endpoint answers and lists the model."""
        return published(metrics.DECODE_ENDPOINT_UP, self._deployment, period=_INTERVAL)

    def _group(self, vpc: ec2.IVpc, ports: Sequence[int]) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(self, "Group", vpc=vpc, allow_all_outbound=False, description="decode probe")
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "AWS APIs")
        for port in ports:
            if port != _HTTPS:
                group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(port), "decode endpoint")
        return group

    def _role(self) -> iam.Role:
        name = "service-role/AWSLambdaVPCAccessExecutionRole"
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(name)],
        )
        acknowledge_finding(
            role,
            f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{name}]",
            "AWS's own minimum for a function with network interfaces in a VPC",
        )
        return role
