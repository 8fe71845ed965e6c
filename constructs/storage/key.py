"""Encrypt what a deployment keeps besides its artifacts: logs, secrets, volumes, audit records."""

from __future__ import annotations

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from constructs.storage.audit import trail_arn

_AUTO_SCALING = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
_USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]


class DeploymentKey(Construct):
    """Hold the key of one deployment's log groups, secrets, host volumes and audit records.

    It is retained: logs outlive their stack, and a secret may be restored for 30 days. Its policy is whole: Secrets
    Manager may use it for whoever may read a secret, CloudWatch Logs for log groups of ``deployment`` alone, Auto
    Scaling for the volumes of the hosts that it launches, CloudTrail for the trail ``trail`` if there is one. So
    ``key`` is a reference that grants add nothing to; with the key itself, CDK would name the readers' roles in its
    policy, and this stack would depend on theirs.
    """

    def __init__(self, scope: Construct, construct_id: str, *, deployment: str, trail: str | None) -> None:
        super().__init__(scope, construct_id)
        key = kms.Key(
            self,
            "Resource",
            description=f"logs, secrets and volumes of {deployment}",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
        statements = [_logs(deployment), _secrets(), *_volumes(), *([_trail(trail)] if trail else [])]
        for statement in statements:
            key.add_to_resource_policy(statement)
        self.key = kms.Key.from_key_arn(self, "Reference", key.key_arn)


def _logs(deployment: str) -> iam.PolicyStatement:
    # CloudFormation names a log group after its stack, and a stack is named after its deployment
    groups = f"arn:{Aws.PARTITION}:logs:{Aws.REGION}:{Aws.ACCOUNT_ID}:log-group:{deployment}-*"
    return iam.PolicyStatement(
        sid="Logs",
        principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.amazonaws.com")],
        actions=_USE,
        resources=["*"],
        conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
    )


def _secrets() -> iam.PolicyStatement:
    """Admit the account's callers of Secrets Manager, as the policy of AWS's own key ``aws/secretsmanager`` does."""
    through = {"kms:CallerAccount": Aws.ACCOUNT_ID, "kms:ViaService": f"secretsmanager.{Aws.REGION}.amazonaws.com"}
    return iam.PolicyStatement(
        sid="Secrets",
        principals=[iam.AnyPrincipal()],
        actions=[*_USE, "kms:CreateGrant"],
        resources=["*"],
        conditions={"StringEquals": through},
    )


def _volumes() -> list[iam.PolicyStatement]:
    """Admit Auto Scaling's service-linked role (EC2 Auto Scaling user guide, key-policy-requirements-EBS-encryption).

    It is named by a condition: KMS refuses a principal that does not exist, and AWS makes the role with an account's
    first Auto Scaling group.
    """
    role = {"ArnEquals": {"aws:PrincipalArn": f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:role/{_AUTO_SCALING}"}}
    granting = {**role, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    return [
        iam.PolicyStatement(
            sid=sid, principals=[iam.AnyPrincipal()], actions=actions, resources=["*"], conditions=conditions
        )
        for sid, actions, conditions in (("Volumes", _USE, role), ("VolumeGrants", ["kms:CreateGrant"], granting))
    ]


def _trail(name: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        sid="Trail",
        principals=[iam.ServicePrincipal("cloudtrail.amazonaws.com")],
        actions=["kms:DescribeKey", "kms:GenerateDataKey*"],
        resources=["*"],
        conditions={"StringEquals": {"aws:SourceArn": trail_arn(name)}},
    )
