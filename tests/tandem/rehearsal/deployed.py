"""A small deployment in the embedded AWS: a gateway on Fargate behind a load balancer, a worker on hosts of its own."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tandem.rehearsal.cloud.api import Api

Resources = dict[str, Any]

ALL = [{"CidrIp": "0.0.0.0/0", "IpProtocol": "-1"}]


def _one(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def _ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def _attribute(name: str, attribute: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, attribute]}


def _role(*statements: Mapping[str, Any]) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policies = [{"PolicyName": "own", "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)}}]
    return _one(
        "IAM::Role", AssumeRolePolicyDocument={"Version": "2012-10-17", "Statement": [trust]}, Policies=policies
    )


def _group(name: str, *ingress: Mapping[str, Any]) -> dict[str, Any]:
    rules = [{"IpProtocol": "tcp", **rule} for rule in ingress]
    group = {"GroupDescription": name, "VpcId": _ref("Vpc"), "SecurityGroupEgress": ALL}
    return _one("EC2::SecurityGroup", **group, SecurityGroupIngress=rules)


def _from(group: str, port: int) -> dict[str, Any]:
    return {"FromPort": port, "ToPort": port, "SourceSecurityGroupId": _attribute(group, "GroupId")}


_NETWORK = {
    "Vpc": _one("EC2::VPC", CidrBlock="10.0.0.0/16"),
    "A": _one("EC2::Subnet", VpcId=_ref("Vpc"), CidrBlock="10.0.0.0/24", AvailabilityZone="us-east-2a"),
    "B": _one("EC2::Subnet", VpcId=_ref("Vpc"), CidrBlock="10.0.1.0/24", AvailabilityZone="us-east-2b"),
    "BalancerGroup": _group("balancer", {"FromPort": 80, "ToPort": 80, "CidrIp": "10.0.0.0/16"}),
    "GatewayGroup": _group("gateway", _from("BalancerGroup", 8080)),
    "WorkerGroup": _group(
        "worker", _from("GatewayGroup", 8100), {"FromPort": 5559, "ToPort": 5559, "CidrIp": "10.80.0.0/16"}
    ),
    "Balancer": _one(
        "ElasticLoadBalancingV2::LoadBalancer",
        Scheme="internal",
        Subnets=[_ref("A"), _ref("B")],
        SecurityGroups=[_attribute("BalancerGroup", "GroupId")],
    ),
    "Targets": _one(
        "ElasticLoadBalancingV2::TargetGroup", Port=8080, Protocol="HTTP", TargetType="ip", VpcId=_ref("Vpc")
    ),
    "Listener": _one(
        "ElasticLoadBalancingV2::Listener",
        LoadBalancerArn=_ref("Balancer"),
        Port=80,
        Protocol="HTTP",
        DefaultActions=[{"Type": "forward", "TargetGroupArn": _ref("Targets")}],
    ),
    "Namespace": _one(
        "ServiceDiscovery::PrivateDnsNamespace", Name={"Fn::Sub": "${AWS::StackName}.internal"}, Vpc=_ref("Vpc")
    ),
    "Discovery": _one("ServiceDiscovery::Service", Name="workers", NamespaceId=_attribute("Namespace", "Id")),
    "Count": _one("ServiceDiscovery::Service", Name="gateways", NamespaceId=_attribute("Namespace", "Id")),
}

_HOSTS = {
    "Template": _one(
        "EC2::LaunchTemplate",
        LaunchTemplateData={
            "ImageId": "ami-12345678",
            "InstanceType": "trn2.48xlarge",
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "NetworkCardIndex": card,
                    "SubnetId": _ref("A"),
                    "Groups": [_attribute("WorkerGroup", "GroupId")],
                }
                for card in range(2)
            ],
        },
    ),
    "Hosts": _one(
        "AutoScaling::AutoScalingGroup",
        MinSize="2",
        MaxSize="2",
        VPCZoneIdentifier=[_ref("A")],
        LaunchTemplate={
            "LaunchTemplateId": _ref("Template"),
            "Version": _attribute("Template", "LatestVersionNumber"),
        },
    ),
    "Provider": _one("ECS::CapacityProvider", AutoScalingGroupProvider={"AutoScalingGroupArn": _ref("Hosts")}),
    "Joined": _one(
        "ECS::ClusterCapacityProviderAssociations",
        Cluster=_ref("Cluster"),
        CapacityProviders=[_ref("Provider")],
        DefaultCapacityProviderStrategy=[],
    ),
}

_TASKS = {
    "Secret": _one("SecretsManager::Secret", SecretString=json.dumps({"api_key": "k", "number": 7})),
    "Execution": _role(
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": _ref("Secret")},
    ),
    "TaskRole": _role({"Effect": "Allow", "Action": "servicediscovery:*", "Resource": "*"}),
    "GatewayTask": _one(
        "ECS::TaskDefinition",
        Family="gateway",
        NetworkMode="awsvpc",
        RequiresCompatibilities=["FARGATE"],
        Cpu="256",
        Memory="512",
        ExecutionRoleArn=_attribute("Execution", "Arn"),
        TaskRoleArn=_attribute("TaskRole", "Arn"),
        ContainerDefinitions=[
            {
                "Name": "gateway",
                "Image": "example.com/gateway:1",
                "Environment": [{"Name": "TANDEM_MODEL", "Value": "m"}],
                "Secrets": [
                    {"Name": "KEY", "ValueFrom": {"Fn::Sub": "${Secret}:api_key::"}},
                    {"Name": "NUMBER", "ValueFrom": {"Fn::Sub": "${Secret}:number::"}},
                    {"Name": "WHOLE", "ValueFrom": _ref("Secret")},
                ],
                "PortMappings": [{"ContainerPort": 8080}],
            }
        ],
    ),
    "WorkerTask": _one(
        "ECS::TaskDefinition",
        Family="worker",
        NetworkMode="host",
        RequiresCompatibilities=["EC2"],
        ContainerDefinitions=[
            {
                "Name": "vllm",
                "Image": "example.com/vllm:1",
                "Command": ["serve", "m"],
                "MemoryReservation": 512,
                "HealthCheck": {"Command": ["CMD", "python3", "-m", "health"], "Interval": 30},
                "LinuxParameters": {"Devices": [{"HostPath": "/dev/neuron0"}]},
                "PortMappings": [{"ContainerPort": 8100}, {"ContainerPort": 5559}],
            }
        ],
    ),
}

_SERVICES = {
    "Cluster": _one("ECS::Cluster"),
    "Gateway": _one(
        "ECS::Service",
        ServiceName="gateway",
        Cluster=_ref("Cluster"),
        LaunchType="FARGATE",
        TaskDefinition=_ref("GatewayTask"),
        DesiredCount=1,
        LoadBalancers=[{"ContainerName": "gateway", "ContainerPort": 8080, "TargetGroupArn": _ref("Targets")}],
        ServiceRegistries=[{"RegistryArn": _attribute("Count", "Arn")}],
        NetworkConfiguration={
            "AwsvpcConfiguration": {
                "Subnets": [_ref("A")],
                "SecurityGroups": [_attribute("GatewayGroup", "GroupId")],
            }
        },
    ),
    "Worker": _one(
        "ECS::Service",
        ServiceName="worker",
        Cluster=_ref("Cluster"),
        TaskDefinition=_ref("WorkerTask"),
        DesiredCount=2,
        DeploymentConfiguration={"MinimumHealthyPercent": 50, "MaximumPercent": 100},
        CapacityProviderStrategy=[{"CapacityProvider": _ref("Provider"), "Weight": 1}],
        ServiceRegistries=[
            {"RegistryArn": _attribute("Discovery", "Arn"), "ContainerName": "vllm", "ContainerPort": 8100}
        ],
    ),
}
_SERVICES["Gateway"]["DependsOn"] = ["Listener"]
_SERVICES["Worker"]["DependsOn"] = ["Joined"]


def resources() -> Resources:
    """Return the deployment's resources, to be changed at will."""
    return copy.deepcopy({**_NETWORK, **_HOSTS, **_TASKS, **_SERVICES})


def container(changed: Resources, task: str) -> dict[str, Any]:
    """Return the only container of a task definition."""
    [found] = changed[task]["Properties"]["ContainerDefinitions"]
    assert isinstance(found, dict)
    return found


def create(aws: Api, name: str, wanted: Resources) -> dict[str, str]:
    """Create a stack that must succeed; return the physical id of each resource."""
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": wanted}))
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    rows = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return {row["LogicalResourceId"]: row["PhysicalResourceId"] for row in rows}


@contextmanager
def deployed(aws: Api, wanted: Resources) -> Iterator[dict[str, str]]:
    """Create a stack for as long as the context lasts, besides others."""
    try:
        yield create(aws, "changed", wanted)
    finally:
        aws.client("cloudformation").delete_stack(StackName="changed")
