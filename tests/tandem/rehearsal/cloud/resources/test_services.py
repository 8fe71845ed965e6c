"""Each area's types come, show themselves to the API, change, and go."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tandem.rehearsal.cloud.conftest import Deployer


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def att(name: str, attribute: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, attribute]}


def one(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def trust(service: str) -> dict[str, Any]:
    allow = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    return one("AWS::IAM::Role", AssumeRolePolicyDocument={"Statement": [allow]})


POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}]}
NETWORK = {
    "Vpc": one("AWS::EC2::VPC", CidrBlock="10.0.0.0/16"),
    "A": one("AWS::EC2::Subnet", VpcId=ref("Vpc"), CidrBlock="10.0.0.0/24", AvailabilityZone="us-east-2a"),
    "B": one("AWS::EC2::Subnet", VpcId=ref("Vpc"), CidrBlock="10.0.1.0/24", AvailabilityZone="us-east-2b"),
}


def test_secrets(deployer: Deployer) -> None:
    def resources(text: str) -> dict[str, Any]:
        generate = {"SecretStringTemplate": '{"user": "u"}', "GenerateStringKey": "key", "PasswordLength": 20}
        return {
            "Given": one("AWS::SecretsManager::Secret", SecretString=text),
            "Made": one("AWS::SecretsManager::Secret", GenerateSecretString=generate),
            "Policy": one("AWS::SecretsManager::ResourcePolicy", SecretId=ref("Made"), ResourcePolicy=POLICY),
        }

    ids, client = deployer.round_trip("secrets", resources("one")), deployer.client("secretsmanager")
    made = client.get_secret_value(SecretId=ids["Made"])["SecretString"]
    assert json.loads(made)["user"] == "u"
    assert len(json.loads(made)["key"]) == 20
    assert json.loads(client.get_resource_policy(SecretId=ids["Made"])["ResourcePolicy"]) == POLICY
    deployer.update("secrets", resources("two"))
    assert client.get_secret_value(SecretId=ids["Given"])["SecretString"] == "two"
    assert client.get_secret_value(SecretId=ids["Made"])["SecretString"] == made
    assert deployer.delete("secrets") == "DELETE_COMPLETE"
    assert client.list_secrets()["SecretList"] == []


def service(command: str, desired: int = 1) -> dict[str, Any]:
    container = {"Name": "c", "Image": "i", "MemoryReservation": 1024, "Command": [command], "Essential": True}
    container |= {"LinuxParameters": {"Devices": [{"HostPath": "/dev/neuron0", "Permissions": ["read"]}]}}
    provider = {"AutoScalingGroupArn": ref("Hosts"), "ManagedTerminationProtection": "DISABLED"}
    strategy = [{"CapacityProvider": ref("Provider"), "Weight": 1}]
    hosts = {"MinSize": "0", "MaxSize": "1", "VPCZoneIdentifier": [ref("A")], "LaunchTemplate": ref("none")}
    hosts["LaunchTemplate"] = {"LaunchTemplateId": ref("Template"), "Version": "1"}
    return {
        **NETWORK,
        "Template": one(
            "AWS::EC2::LaunchTemplate", LaunchTemplateData={"ImageId": "ami-1", "InstanceType": "m5.large"}
        ),
        "Hosts": one("AWS::AutoScaling::AutoScalingGroup", **hosts),
        "Hook": one(
            "AWS::AutoScaling::LifecycleHook",
            AutoScalingGroupName=ref("Hosts"),
            LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
        ),
        "Policy": one(
            "AWS::AutoScaling::ScalingPolicy",
            AutoScalingGroupName=ref("Hosts"),
            AdjustmentType="ChangeInCapacity",
            ScalingAdjustment=1,
        ),
        "Night": one(
            "AWS::AutoScaling::ScheduledAction", AutoScalingGroupName=ref("Hosts"), MinSize=0, Recurrence="0 0 * * *"
        ),
        "Provider": one("AWS::ECS::CapacityProvider", AutoScalingGroupProvider=provider),
        "Cluster": one("AWS::ECS::Cluster", ClusterSettings=[{"Name": "containerInsights", "Value": "enabled"}]),
        "Joined": one(
            "AWS::ECS::ClusterCapacityProviderAssociations",
            Cluster=ref("Cluster"),
            CapacityProviders=[ref("Provider")],
            DefaultCapacityProviderStrategy=strategy,
        ),
        "Task": one("AWS::ECS::TaskDefinition", ContainerDefinitions=[container], RequiresCompatibilities=["EC2"]),
        "Service": {
            **one("AWS::ECS::Service", Cluster=ref("Cluster"), TaskDefinition=ref("Task"), DesiredCount=desired),
            "DependsOn": "Joined",
        },
        "Target": one(
            "AWS::ApplicationAutoScaling::ScalableTarget",
            MinCapacity=1,
            MaxCapacity=2,
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId={"Fn::Sub": "service/${Cluster}/${Service.Name}"},
        ),
        "Scaling": one(
            "AWS::ApplicationAutoScaling::ScalingPolicy",
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            ScalingTargetId=ref("Target"),
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 50,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
            },
        ),
    }


def test_ecs_service_on_its_hosts(deployer: Deployer) -> None:
    ids, client = deployer.round_trip("ecs", service("one")), deployer.client("ecs")
    assert client.describe_clusters(clusters=[ids["Cluster"]])["clusters"][0]["capacityProviders"] == [ids["Provider"]]
    deployer.update("ecs", service("two"))
    found = client.describe_services(cluster=ids["Cluster"], services=[ids["Service"]])["services"][0]
    container = client.describe_task_definition(taskDefinition=found["taskDefinition"])["taskDefinition"]
    assert container["containerDefinitions"][0]["command"] == ["two"]
    assert container["containerDefinitions"][0]["linuxParameters"]["devices"][0]["hostPath"] == "/dev/neuron0"
    assert len(client.list_task_definitions()["taskDefinitionArns"]) == 1
    scaling = deployer.client("application-autoscaling")
    assert len(scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]) == 1
    assert deployer.delete("ecs") == "DELETE_COMPLETE", deployer.stack("ecs").get("StackStatusReason")
    assert client.list_task_definitions()["taskDefinitionArns"] == []


def test_monitoring(deployer: Deployer) -> None:
    alarm = {"Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60, "Threshold": 1}
    alarm |= {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "AlarmActions": [ref("Topic")]}
    ids = deployer.round_trip(
        "monitoring",
        {
            "Topic": one("AWS::SNS::Topic"),
            "TopicPolicy": one("AWS::SNS::TopicPolicy", Topics=[ref("Topic")], PolicyDocument=POLICY),
            "Queue": one("AWS::SQS::Queue"),
            "QueuePolicy": one("AWS::SQS::QueuePolicy", Queues=[ref("Queue")], PolicyDocument=POLICY),
            "Subscription": one(
                "AWS::SNS::Subscription", TopicArn=ref("Topic"), Protocol="sqs", Endpoint=att("Queue", "Arn")
            ),
            "Alarm": one("AWS::CloudWatch::Alarm", **alarm),
            "Both": one("AWS::CloudWatch::CompositeAlarm", AlarmRule={"Fn::Sub": 'ALARM("${Alarm}")'}),
            "Logs": one("AWS::Logs::LogGroup", RetentionInDays=7),
            "Filter": one(
                "AWS::Logs::MetricFilter",
                LogGroupName=ref("Logs"),
                FilterPattern="ERROR",
                MetricTransformations=[{"MetricName": "e", "MetricNamespace": "n", "MetricValue": "1"}],
            ),
        },
    )
    found = deployer.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    assert [found["MetricAlarms"][0]["AlarmName"]] == [ids["Alarm"]]
    assert [found["CompositeAlarms"][0]["AlarmName"]] == [ids["Both"]]
    group = deployer.client("logs").describe_log_groups(logGroupNamePrefix=ids["Logs"])["logGroups"][0]
    assert group["retentionInDays"] == 7
    attributes = deployer.client("sqs").get_queue_attributes(QueueUrl=ids["Queue"], AttributeNames=["Policy"])
    assert json.loads(attributes["Attributes"]["Policy"]) == POLICY
    assert deployer.delete("monitoring") == "DELETE_COMPLETE", deployer.stack("monitoring").get("StackStatusReason")


def test_buckets(deployer: Deployer) -> None:
    versioned = {
        "VersioningConfiguration": {"Status": "Enabled"},
        "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True},
    }
    resources = {
        "Bucket": one("AWS::S3::Bucket", **versioned),
        "Policy": one("AWS::S3::BucketPolicy", Bucket=ref("Bucket"), PolicyDocument=POLICY),
    }
    ids, client = deployer.round_trip("buckets", resources), deployer.client("s3")
    assert client.get_bucket_versioning(Bucket=ids["Bucket"])["Status"] == "Enabled"
    blocked = client.get_public_access_block(Bucket=ids["Bucket"])["PublicAccessBlockConfiguration"]
    assert blocked["BlockPublicAcls"] is True
    client.put_object(Bucket=ids["Bucket"], Key="k", Body=b"")
    deployer.cloudformation.delete_stack(StackName="buckets")
    assert deployer.stack("buckets")["StackStatus"] == "DELETE_FAILED"
    for version in client.list_object_versions(Bucket=ids["Bucket"])["Versions"]:
        client.delete_object(Bucket=ids["Bucket"], Key="k", VersionId=version["VersionId"])
    assert deployer.delete("buckets") == "DELETE_COMPLETE"


def test_discovery(deployer: Deployer) -> None:
    dns = {"DnsRecords": [{"Type": "A", "TTL": 10}], "NamespaceId": ref("Private")}
    resources = {
        "Vpc": NETWORK["Vpc"],
        "Private": one("AWS::ServiceDiscovery::PrivateDnsNamespace", Name="tandem.internal", Vpc=ref("Vpc")),
        "Http": one("AWS::ServiceDiscovery::HttpNamespace", Name="plain"),
        "Service": one("AWS::ServiceDiscovery::Service", Name="prefill", DnsConfig=dns),
    }
    outputs = {"Zone": {"Value": att("Private", "HostedZoneId")}}
    ids = deployer.round_trip("discovery", resources, Outputs=outputs)
    found = deployer.client("servicediscovery").get_service(Id=ids["Service"])["Service"]
    assert (found["Name"], found["NamespaceId"]) == ("prefill", ids["Private"])
    assert deployer.outputs("discovery")["Zone"]
    assert deployer.delete("discovery") == "DELETE_COMPLETE"


def test_load_balancing(deployer: Deployer) -> None:
    resources = {
        **NETWORK,
        "Balancer": one("AWS::ElasticLoadBalancingV2::LoadBalancer", Subnets=[ref("A"), ref("B")], Scheme="internal"),
        "Targets": one(
            "AWS::ElasticLoadBalancingV2::TargetGroup", VpcId=ref("Vpc"), Port=80, Protocol="HTTP", TargetType="ip"
        ),
        "Certificate": one("AWS::CertificateManager::Certificate", DomainName="llm.example.com"),
        "Listener": one(
            "AWS::ElasticLoadBalancingV2::Listener",
            LoadBalancerArn=ref("Balancer"),
            Port=443,
            Protocol="HTTPS",
            Certificates=[{"CertificateArn": ref("Certificate")}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": ref("Targets")}],
        ),
        "Acl": one(
            "AWS::WAFv2::WebACL",
            Scope="REGIONAL",
            DefaultAction={"Allow": {}},
            VisibilityConfig={"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "m"},
        ),
        "Guarded": one("AWS::WAFv2::WebACLAssociation", ResourceArn=ref("Balancer"), WebACLArn=att("Acl", "Arn")),
    }
    outputs = {"Name": {"Value": att("Balancer", "LoadBalancerFullName")}}
    ids = deployer.round_trip("balancing", resources, Outputs=outputs)
    assert deployer.outputs("balancing")["Name"].startswith("app/balancing")
    listener = deployer.client("elbv2").describe_listeners(ListenerArns=[ids["Listener"]])["Listeners"][0]
    assert listener["Certificates"][0]["CertificateArn"] == ids["Certificate"]
    changed = one("AWS::ElasticLoadBalancingV2::Listener", **{**resources["Listener"]["Properties"], "Port": 8443})
    assert deployer.update("balancing", {**resources, "Listener": changed})["StackStatus"] == "UPDATE_COMPLETE"
    unknown = [{"CertificateArn": f"{ids['Certificate'][:-4]}0000"}]
    changed["Properties"].update(Port=9443, Certificates=unknown)
    rolled_back = deployer.update("balancing", {**resources, "Listener": changed})
    assert "0000 not found" in rolled_back["StackStatusReason"]
    assert rolled_back["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    [listener] = deployer.client("elbv2").describe_listeners(ListenerArns=[ids["Listener"]])["Listeners"]
    assert (listener["Port"], listener["Certificates"][0]["CertificateArn"]) == (8443, ids["Certificate"])
    assert deployer.delete("balancing") == "DELETE_COMPLETE", deployer.stack("balancing").get("StackStatusReason")
    assert deployer.client("elbv2").describe_load_balancers()["LoadBalancers"] == []


def agentcore(**provider: Any) -> dict[str, Any]:
    models = [{"Path": "/v1/chat/completions", "Models": [{"Model": "m"}]}]
    inference = {"Provider": {"Endpoint": "https://llm.example.com", "Operations": models, **provider}}
    config = {"SecretId": ref("Key"), "JsonKey": "api_key"}
    credential = {"ProviderArn": att("Credential", "CredentialProviderArn"), "CredentialLocation": "HEADER"}
    credentials = {"CredentialProviderType": "API_KEY", "CredentialProvider": {"ApiKeyCredentialProvider": credential}}
    return {
        "Role": trust("bedrock-agentcore.amazonaws.com"),
        "Key": one("AWS::SecretsManager::Secret", SecretString='{"api_key": "k"}'),
        "Credential": one(
            "AWS::BedrockAgentCore::ApiKeyCredentialProvider",
            Name="tandem",
            ApiKeySecretSource="EXTERNAL",
            ApiKeySecretConfig=config,
        ),
        "Gateway": one(
            "AWS::BedrockAgentCore::Gateway", Name="Tandem", AuthorizerType="AWS_IAM", RoleArn=att("Role", "Arn")
        ),
        "Target": one(
            "AWS::BedrockAgentCore::GatewayTarget",
            Name="llm",
            GatewayIdentifier=att("Gateway", "GatewayIdentifier"),
            TargetConfiguration={"Inference": inference},
            CredentialProviderConfigurations=[credentials],
        ),
    }


def test_agentcore(deployer: Deployer) -> None:
    outputs = {"Url": {"Value": att("Gateway", "GatewayUrl")}}
    ids = deployer.round_trip("agentcore", agentcore(), Outputs=outputs)
    assert deployer.outputs("agentcore")["Url"].startswith("https://tandem-")
    client = deployer.client("bedrock-agentcore-control")
    assert client.get_gateway(gatewayIdentifier=ids["Gateway"])["authorizerType"] == "AWS_IAM"
    target = client.list_gateway_targets(gatewayIdentifier=ids["Gateway"])["items"][0]["targetId"]
    found = client.get_gateway_target(gatewayIdentifier=ids["Gateway"], targetId=target)
    assert found["targetConfiguration"]["inference"]["provider"]["endpoint"] == "https://llm.example.com"
    assert client.get_api_key_credential_provider(name="tandem")["apiKeySecretJsonKey"] == "api_key"
    deployer.update("agentcore", agentcore(Endpoint="https://other.example.com"), Outputs=outputs)
    found = client.get_gateway_target(gatewayIdentifier=ids["Gateway"], targetId=target)
    assert found["targetConfiguration"]["inference"]["provider"]["endpoint"] == "https://other.example.com"
    assert deployer.delete("agentcore") == "DELETE_COMPLETE", deployer.stack("agentcore").get("StackStatusReason")
    assert client.list_gateways()["items"] == []


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ({"Endpoint": "http://llm.example.com"}, "it must match https://"),
        ({"Operation": []}, "unknown property TargetConfiguration.Inference.Provider.Operation; allowed: endpoint"),
    ],
)
def test_agentcore_checks_properties(deployer: Deployer, provider: dict[str, Any], reason: str) -> None:
    stack = deployer.create("wrong", agentcore(**provider))
    assert reason in stack["StackStatusReason"]
    deployer.delete("wrong")


def test_schedules_and_rules(deployer: Deployer) -> None:
    code = {"ZipFile": "def handler(event, context): pass"}
    resources = {
        "Role": trust("lambda.amazonaws.com"),
        "F": one(
            "AWS::Lambda::Function", Code=code, Handler="index.handler", Runtime="python3.13", Role=att("Role", "Arn")
        ),
        "Version": one("AWS::Lambda::Version", FunctionName=ref("F")),
        "Alias": one("AWS::Lambda::Alias", Name="live", FunctionName=ref("F"), FunctionVersion="1"),
        "Url": one("AWS::Lambda::Url", TargetFunctionArn=att("F", "Arn"), AuthType="AWS_IAM"),
        "Rule": one(
            "AWS::Events::Rule",
            ScheduleExpression="rate(1 minute)",
            Targets=[{"Id": "f", "Arn": att("F", "Arn")}],
        ),
        "Permission": one(
            "AWS::Lambda::Permission",
            FunctionName=att("F", "Arn"),
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=att("Rule", "Arn"),
        ),
        "Schedule": one(
            "AWS::Scheduler::Schedule",
            ScheduleExpression="rate(1 hour)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": att("F", "Arn"), "RoleArn": att("Role", "Arn")},
        ),
        "Metadata": one("AWS::CDK::Metadata", Analytics="x"),
        "Managed": one(
            "AWS::IAM::ManagedPolicy",
            Roles=[ref("Role")],
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
            },
        ),
    }
    resources["Alias"]["DependsOn"] = "Version"
    ids = deployer.round_trip("schedules", resources, Outputs={"Url": {"Value": att("Url", "FunctionUrl")}})
    assert deployer.outputs("schedules")["Url"].startswith("https://")
    assert deployer.client("events").list_targets_by_rule(Rule=ids["Rule"])["Targets"][0]["Id"] == "f"
    assert deployer.delete("schedules") == "DELETE_COMPLETE", deployer.stack("schedules").get("StackStatusReason")
    assert deployer.client("lambda").list_functions()["Functions"] == []
