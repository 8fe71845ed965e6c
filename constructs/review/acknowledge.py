"""Acknowledge a cdk-nag finding beside the construct that causes it."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import IConstruct


def acknowledge(construct: IConstruct, **reasons: str) -> None:
    """Accept findings with the reason for each; ``AwsSolutions_IAM5`` stands for ``AwsSolutions-IAM5``."""
    for rule, reason in reasons.items():
        acknowledge_finding(construct, rule.replace("_", "-"), reason)


def acknowledge_finding(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding by its full id, such as ``AwsSolutions-IAM5[Resource::*]``."""
    Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def acknowledge_task(task: ecs.TaskDefinition) -> None:
    """Accept what every task definition of Tandem causes: plain variables, and the login to ECR."""
    acknowledge(task, AwsSolutions_ECS2="variables name peers and limits; every secret comes from Secrets Manager")
    role = task.obtain_execution_role()
    acknowledge_finding(role, "AwsSolutions-IAM5[Resource::*]", "ecr:GetAuthorizationToken knows no resource")


def acknowledge_grant(role: iam.IRole, bucket: s3.IBucket, reason: str) -> None:
    """Accept the wildcards of CDK's ``grant_read_write`` on a bucket with a KMS key."""
    actions = ("s3:GetObject*", "s3:GetBucket*", "s3:List*", "s3:DeleteObject*", "s3:Abort*")
    for action in (*actions, "kms:ReEncrypt*", "kms:GenerateDataKey*"):
        acknowledge_finding(role, f"AwsSolutions-IAM5[Action::{action}]", reason)
    producer = Stack.of(bucket)
    export = producer.resolve(producer.export_value(bucket.bucket_arn))["Fn::ImportValue"]
    acknowledge_finding(role, f"AwsSolutions-IAM5[Resource::{export}/*]", reason)
