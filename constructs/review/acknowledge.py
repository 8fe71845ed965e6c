"""Acknowledge a cdk-nag finding beside the construct that causes it: of the packs AwsSolutions and NIST 800-53 R5."""

from __future__ import annotations

from typing import Final

from aws_cdk import Acknowledgment, App, Validations
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import IConstruct

_PACKS: Final = {"AwsSolutions": "AwsSolutions", "NIST": "NIST.800.53.R5"}


def acknowledge_everywhere(app: App) -> None:
    """Accept what every deployment causes in many places, for one reason."""
    acknowledge(
        app,
        NIST_IAMNoInlinePolicy="a grant's policy belongs to one role and goes with it; a managed one could be attached "
        "to another",
    )


def acknowledge(construct: IConstruct, **reasons: str) -> None:
    """Accept findings with the reason for each.

    ``AwsSolutions_IAM5`` stands for ``AwsSolutions-IAM5``, ``NIST_LambdaDLQ`` for ``NIST.800.53.R5-LambdaDLQ``.
    """
    for rule, reason in reasons.items():
        pack, _, name = rule.partition("_")
        acknowledge_finding(construct, f"{_PACKS[pack]}-{name}", reason)


def acknowledge_finding(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding by its full id, such as ``AwsSolutions-IAM5[Resource::*]``."""
    Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def acknowledge_unrotated(secret: secretsmanager.ISecret, reason: str) -> None:
    """Accept a secret that no function rotates."""
    acknowledge(secret, AwsSolutions_SMG4=reason, NIST_SecretsManagerRotationEnabled=reason)


def acknowledge_function(function: lambda_.IFunction, *, no_queue: str) -> None:
    """Accept a function without reserved concurrency, and without a dead-letter queue for the reason ``no_queue``."""
    acknowledge(
        function,
        NIST_LambdaConcurrency="its one caller calls it once at a time; reserving would fail where an account's limit "
        "is the 10 of a new one",
        NIST_LambdaDLQ=no_queue,
    )


def acknowledge_task(task: ecs.TaskDefinition) -> None:
    """Accept what every task definition of Tandem causes: plain variables, and the login to ECR."""
    acknowledge(task, AwsSolutions_ECS2="variables name peers and limits; every secret comes from Secrets Manager")
    role = task.obtain_execution_role()
    acknowledge_finding(role, "AwsSolutions-IAM5[Resource::*]", "ecr:GetAuthorizationToken knows no resource")
