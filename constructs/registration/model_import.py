"""Import the weights into Bedrock: a native copy to fall back on, addressable by InvokeModel.

Bedrock runs the copy on hardware that it chooses; prefill and decode of this deployment take no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Aws, CfnOutput
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from constructs.registration.handler import RegistrationHandler
from constructs.review.acknowledge import acknowledge_finding

_OWNER_TAG = "tandem:deployment"


class ModelImport(Construct):
    """Hold the role by which Bedrock reads the weights, and the imported model.

    ``weights`` is an S3 URI; another one means another model, other ``cost_tags`` do not. ``model_key`` encrypts
    the model, and may be that of the weights, too.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        weights: str,
        cost_tags: Mapping[str, str],
        model_key: kms.IKey,
        encryption_key: kms.IKey,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        reader = self._reader(weights, model_key)
        handler = RegistrationHandler(
            self,
            "Handler",
            module="model_import",
            resource_type="Custom::BedrockImportedModel",
            properties={
                "Name": name,
                "WeightsUri": f"{weights}/",
                "RoleArn": reader.role_arn,
                "KmsKeyArn": model_key.key_arn,
                "Tags": {**cost_tags, _OWNER_TAG: name},
            },
            statements=_statements(name, reader, model_key),
            encryption_key=encryption_key,
            log_retention=log_retention,
        )
        _acknowledge(handler.role)
        # the role alone does not bring its policy along
        handler.resource.node.add_dependency(reader)
        model_arn = handler.resource.get_att_string("ModelArn")
        CfnOutput(self, "ModelArn", value=model_arn, description="modelId for InvokeModel")

    def _reader(self, weights: str, key: kms.IKey) -> iam.Role:
        jobs = f"arn:{Aws.PARTITION}:bedrock:{Aws.REGION}:{Aws.ACCOUNT_ID}:model-import-job/*"
        own = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}, "ArnEquals": {"aws:SourceArn": jobs}}
        principal = iam.ServicePrincipal("bedrock.amazonaws.com", conditions=own)
        role = iam.Role(self, "Reader", assumed_by=principal)
        bucket, _, prefix = weights.removeprefix("s3://").partition("/")
        arn = f"arn:{Aws.PARTITION}:s3:::{bucket}"
        role.add_to_policy(iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{arn}/{prefix}/*"]))
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["s3:ListBucket"], resources=[arn], conditions={"StringLike": {"s3:prefix": f"{prefix}/*"}}
            )
        )
        role.add_to_policy(iam.PolicyStatement(actions=["kms:Decrypt"], resources=[key.key_arn]))
        finding = f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::{bucket}/{prefix}/*]"
        acknowledge_finding(role, finding, "the weights are the objects below one prefix")
        return role


def _statements(name: str, reader: iam.Role, key: kms.IKey) -> list[iam.PolicyStatement]:
    """Return what the function may do: import as ``reader``, and change none but this deployment's models."""
    own = {"StringEquals": {f"aws:ResourceTag/{_OWNER_TAG}": name}}
    passing = {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}}
    through = {"StringEquals": {"kms:ViaService": f"bedrock.{Aws.REGION}.amazonaws.com"}}
    return [
        iam.PolicyStatement(
            actions=["bedrock:CreateModelImportJob", "bedrock:ListModelImportJobs"],
            resources=["*"],
        ),
        iam.PolicyStatement(actions=["bedrock:GetModelImportJob"], resources=[_arn("model-import-job")]),
        iam.PolicyStatement(
            actions=["bedrock:GetImportedModel", "bedrock:ListTagsForResource"], resources=[_arn("imported-model")]
        ),
        # a job is tagged when it is made, before it has the tag that the next statement asks for
        iam.PolicyStatement(
            actions=["bedrock:TagResource"],
            resources=[_arn("model-import-job"), _arn("imported-model")],
            conditions={"StringEquals": {f"aws:RequestTag/{_OWNER_TAG}": name}},
        ),
        iam.PolicyStatement(
            actions=["bedrock:DeleteImportedModel", "bedrock:TagResource", "bedrock:UntagResource"],
            resources=[_arn("imported-model")],
            conditions=own,
        ),
        iam.PolicyStatement(actions=["iam:PassRole"], resources=[reader.role_arn], conditions=passing),
        iam.PolicyStatement(
            actions=["kms:CreateGrant", "kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"],
            resources=[key.key_arn],
            conditions=through,
        ),
    ]


def _arn(kind: str) -> str:
    return f"arn:{Aws.PARTITION}:bedrock:{Aws.REGION}:{Aws.ACCOUNT_ID}:{kind}/*"


def _acknowledge(role: iam.Role) -> None:
    acknowledge_finding(
        role, "AwsSolutions-IAM5[Resource::*]", "a job has no ARN before it is made, and a list is of no resource"
    )
    for kind in ("model-import-job", "imported-model"):
        acknowledge_finding(
            role,
            f"AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:bedrock:<AWS::Region>:<AWS::AccountId>:{kind}/*]",
            "Bedrock makes the ids up; what changes a model asks for this deployment's tag",
        )
