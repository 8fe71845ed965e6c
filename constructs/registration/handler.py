"""Run a registrar for which CloudFormation has no type: a function behind a custom resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from constructs.observability.logs import program_logs
from constructs.packaging.assets import function_code
from constructs.review.acknowledge import acknowledge, acknowledge_function


class RegistrationHandler(Construct):
    """Hold the function ``runtime/functions/<module>.py``, its role, and the custom resource that it answers.

    The function waits for what takes longer than its 15 minutes by invoking itself, for up to an hour, the longest that
    CloudFormation waits. CDK's provider framework waits no longer, and would add three functions and a state machine.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        module: str,
        resource_type: str,
        properties: Mapping[str, Any],
        statements: Sequence[iam.PolicyStatement],
        encryption_key: kms.IKey,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        group = program_logs(self, log_retention, encryption_key)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        for statement in statements:
            self.role.add_to_policy(statement)
        group.grant_write(self.role)
        function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_14,
            handler=f"runtime.functions.{module}.handler",
            code=function_code(),
            timeout=Duration.minutes(15),
            role=self.role,
            log_group=group,
        )
        acknowledge_function(function, no_queue="CloudFormation waits for the answer, and rolls back without one")
        acknowledge(function, NIST_LambdaInsideVPC="it calls public AWS APIs and nothing in the VPC")
        resume = self._may_resume(function)
        self.resource = CustomResource(
            self,
            "Resource",
            service_token=function.function_arn,
            service_timeout=Duration.hours(1),
            resource_type=resource_type,
            properties=dict(properties),
        )
        self.resource.node.add_dependency(resume, group)

    def _may_resume(self, function: lambda_.Function) -> iam.Policy:
        # a policy of its own: the role's default one is made before the function, whose name this one holds
        statement = iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function.function_arn])
        return iam.Policy(self, "Resume", roles=[self.role], statements=[statement])
