"""A role may do what its identity policies allow, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tandem.rehearsal.cloud.permissions import allowed, may_assume
from tests.tandem.rehearsal.cloud.conftest import REGION, Deployer

Client = Callable[[str], Any]


def statement(effect: str, action: str, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


_GROUPS = "arn:aws:autoscaling:*:${AWS::AccountId}:autoScalingGroup:*:autoScalingGroupName"


def _hosts() -> dict[str, Any]:
    template = {
        "LaunchTemplateId": {"Ref": "Template"},
        "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
    }
    sizes = {"MinSize": "0", "MaxSize": "1", "DesiredCapacity": "1"}
    properties = {**sizes, "LaunchTemplate": template, "AvailabilityZones": [f"{REGION}a"]}
    return {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": properties}


@pytest.fixture(scope="module")
def ids(deployer: Deployer) -> dict[str, str]:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}
    tls = {"Bool": {"aws:SecureTransport": "false"}}
    policy = [
        statement("Allow", "secretsmanager:GetSecretValue", {"Ref": "Mine"}),
        statement("Allow", "s3:Get*", {"Fn::Sub": "arn:aws:s3:::${Bucket}/models/*"}),
        statement("Allow", "s3:ListBucket", {"Fn::GetAtt": ["Bucket", "Arn"]}),
        statement("Allow", "kms:Decrypt", {"Fn::GetAtt": ["Key", "Arn"]}),
        statement("Allow", "ecs:*", "*"),
        statement("Allow", "autoscaling:SetInstanceHealth", {"Fn::Sub": f"{_GROUPS}/${{Hosts}}"}),
        statement("Deny", "ecs:DeleteCluster", "*"),
        statement("Deny", "s3:*", "*", Condition=tls),
    ]
    return deployer.round_trip(
        "permissions",
        {
            "Mine": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "m"}},
            "Other": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "o"}},
            "Bucket": {"Type": "AWS::S3::Bucket"},
            "Template": {
                "Type": "AWS::EC2::LaunchTemplate",
                "Properties": {"LaunchTemplateData": {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}},
            },
            "Hosts": _hosts(),
            "OtherHosts": _hosts(),
            "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": []}}},
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [trust]}}},
            "Policy": {
                "Type": "AWS::IAM::Policy",
                "Properties": {
                    "PolicyName": "task",
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": policy},
                    "Roles": [{"Ref": "Role"}],
                },
            },
        },
    )


@pytest.fixture(scope="module")
def role(deployer: Deployer, ids: dict[str, str]) -> str:
    return str(deployer.client("iam").get_role(RoleName=ids["Role"])["Role"]["Arn"])


@pytest.fixture(scope="module")
def as_role(deployer: Deployer, role: str) -> Client:
    keys = deployer.client("sts").assume_role(RoleArn=role, RoleSessionName="task")["Credentials"]

    def client(service: str) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=deployer.cloud.endpoint,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    return client


def test_granted_calls_pass(deployer: Deployer, ids: dict[str, str], as_role: Client) -> None:
    assert as_role("secretsmanager").get_secret_value(SecretId=ids["Mine"])["SecretString"] == "m"
    assert as_role("ecs").list_clusters()["clusterArns"] == []
    assert "assumed-role/permissions-Role" in as_role("sts").get_caller_identity()["Arn"]
    deployer.client("s3").put_object(Bucket=ids["Bucket"], Key="models/w", Body=b"1")
    assert as_role("s3").get_object(Bucket=ids["Bucket"], Key="models/w")["Body"].read() == b"1"
    assert as_role("s3").list_objects_v2(Bucket=ids["Bucket"])["KeyCount"] == 1
    encrypted = deployer.client("kms").encrypt(KeyId=ids["Key"], Plaintext=b"x")["CiphertextBlob"]
    assert as_role("kms").decrypt(KeyId=ids["Key"], CiphertextBlob=encrypted)["Plaintext"] == b"x"


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "action"),
    [
        ("secretsmanager", "get_secret_value", {"SecretId": "{Other}"}, "secretsmanager:GetSecretValue"),  # json
        ("s3", "get_object", {"Bucket": "{Bucket}", "Key": "private"}, "s3:GetObject"),  # rest-xml
        ("s3", "put_object", {"Bucket": "{Bucket}", "Key": "models/w", "Body": b""}, "s3:PutObject"),
        ("lambda", "invoke", {"FunctionName": "f"}, "lambda:InvokeFunction"),  # rest-json
        ("iam", "list_roles", {}, "iam:ListRoles"),  # query
        ("ec2", "describe_vpcs", {}, "ec2:DescribeVpcs"),
        ("cloudwatch", "list_metrics", {}, "cloudwatch:ListMetrics"),
        ("kms", "encrypt", {"KeyId": "{Key}", "Plaintext": b"x"}, "kms:Encrypt"),
        ("bedrock-agentcore-control", "list_gateways", {}, "bedrock-agentcore:ListGateways"),
    ],
)
def test_others_are_refused_in_their_protocol(
    ids: dict[str, str], as_role: Client, service: str, operation: str, arguments: dict[str, Any], action: str
) -> None:
    given = {key: value.format(**ids) if isinstance(value, str) else value for key, value in arguments.items()}
    with pytest.raises(ClientError, match=f"not authorized to perform: {action}") as refused:
        getattr(as_role(service), operation)(**given)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_hosts_of_its_own_group_alone_may_be_given_up(ids: dict[str, str], as_role: Client, deployer: Deployer) -> None:
    def host(group: str) -> Any:
        found = deployer.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[ids[group]])
        return found["AutoScalingGroups"][0]["Instances"][0]

    as_role("autoscaling").set_instance_health(InstanceId=host("Hosts")["InstanceId"], HealthStatus="Unhealthy")
    assert host("Hosts")["HealthStatus"] == "Unhealthy"
    with pytest.raises(ClientError, match=r"not authorized to perform: autoscaling:SetInstanceHealth on resource: arn"):
        as_role("autoscaling").set_instance_health(
            InstanceId=host("OtherHosts")["InstanceId"], HealthStatus="Unhealthy"
        )
    assert host("OtherHosts")["HealthStatus"] == "Healthy"


def test_allowed(ids: dict[str, str], role: str) -> None:
    assert allowed(role, "secretsmanager:GetSecretValue", ids["Mine"])
    assert not allowed(role, "secretsmanager:GetSecretValue", ids["Other"])
    assert allowed(role, "secretsmanager:GetSecretValue")
    assert not allowed(role, "ecs:DeleteCluster", "arn:aws:ecs:us-east-2:111122223333:cluster/c")
    with pytest.raises(KeyError, match="there is no role"):
        allowed("arn:aws:iam::111122223333:role/nobody", "s3:GetObject")


def test_may_assume(role: str) -> None:
    assert may_assume("ecs-tasks.amazonaws.com", role)
    assert not may_assume("lambda.amazonaws.com", role)
