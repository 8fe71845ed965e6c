"""Hold a key of our own making that is replaced on a schedule."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs.observability.logs import program_logs
from constructs.packaging.assets import function_code
from constructs.review.acknowledge import acknowledge, acknowledge_function
from runtime.handoff import settings

_ACTIONS = ("DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage")


class KeyRotation(Construct):
    """Run ``runtime/functions/rotation.py`` over a secret, first when ``days`` have passed.

    ``field`` names the key where the secret is JSON. CDK's own schedule would grant the function GetRandomPassword on
    everything, for which it has no use.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        secret: secretsmanager.Secret,
        encryption_key: kms.IKey,
        days: int,
        log_retention: logs.RetentionDays,
        field: str | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        group = program_logs(self, log_retention, encryption_key)
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        actions = [f"secretsmanager:{action}" for action in _ACTIONS]
        role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[secret.secret_arn]))
        sealing = ["kms:Decrypt", "kms:GenerateDataKey"]
        role.add_to_policy(iam.PolicyStatement(actions=sealing, resources=[encryption_key.key_arn]))
        group.grant_write(role)
        function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_14,
            handler="runtime.functions.rotation.handler",
            code=function_code(),
            timeout=Duration.seconds(30),
            role=role,
            log_group=group,
            environment={settings.SECRET_FIELD: field} if field else None,
        )
        acknowledge_function(
            function, no_queue="Secrets Manager repeats a rotation that failed, and shows it as pending"
        )
        acknowledge(function, NIST_LambdaInsideVPC="it calls public AWS APIs and nothing in the VPC")
        service = iam.ServicePrincipal("secretsmanager.amazonaws.com")
        function.add_permission("Rotate", principal=service, source_account=Aws.ACCOUNT_ID)
        schedule = secretsmanager.CfnRotationSchedule(
            self,
            "Schedule",
            secret_id=secret.secret_arn,
            rotation_lambda_arn=function.function_arn,
            rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(automatically_after_days=days),
            # a deployment changes no key
            rotate_immediately_on_update=False,
        )
        schedule.node.add_dependency(function)
