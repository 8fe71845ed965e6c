"""Register a SageMaker endpoint with Bedrock Marketplace, so that InvokeModel reaches it by its ARN.

Bedrock takes endpoints only that serve a model of SageMaker's public hub unchanged and in network isolation, which is
why no such endpoint can hand its prompts on to this deployment.
"""

from __future__ import annotations

from aws_cdk import Aws, CfnOutput
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from constructs.registration.handler import RegistrationHandler
from constructs.review.acknowledge import acknowledge_finding


class MarketplaceRegistration(Construct):
    """Hold the registration of an endpoint that exists; the endpoint stays when the registration goes."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        endpoint_arn: str,
        model_source: str,
        encryption_key: kms.IKey,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        handler = RegistrationHandler(
            self,
            "Handler",
            module="marketplace_endpoint",
            resource_type="Custom::BedrockMarketplaceEndpoint",
            properties={"EndpointArn": endpoint_arn, "ModelSource": model_source},
            statements=_statements(endpoint_arn),
            encryption_key=encryption_key,
            log_retention=log_retention,
        )
        for kind in ("endpoint-config", "model"):
            acknowledge_finding(
                handler.role,
                f"AwsSolutions-IAM5[Resource::{_arn(kind, '<AWS::Partition>', '<AWS::Region>', '<AWS::AccountId>')}]",
                "Bedrock reads the configuration and model of the endpoint as its caller; their names are not known",
            )
        registered = handler.resource.get_att_string("EndpointArn")
        CfnOutput(self, "ModelId", value=registered, description="modelId for InvokeModel")


def _statements(endpoint_arn: str) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            actions=[
                "bedrock:RegisterMarketplaceModelEndpoint",
                "bedrock:DeregisterMarketplaceModelEndpoint",
                "bedrock:GetMarketplaceModelEndpoint",
                "sagemaker:DescribeEndpoint",
                "sagemaker:ListTags",
            ],
            resources=[endpoint_arn],
        ),
        iam.PolicyStatement(
            actions=["sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel"],
            resources=[_arn(kind, Aws.PARTITION, Aws.REGION, Aws.ACCOUNT_ID) for kind in ("endpoint-config", "model")],
        ),
    ]


def _arn(kind: str, partition: str, region: str, account: str) -> str:
    return f"arn:{partition}:sagemaker:{region}:{account}:{kind}/*"
