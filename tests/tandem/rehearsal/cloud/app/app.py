"""A small app with one of each thing that a deployment has; ``-c grant=no`` and ``-c size=N`` change it."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import (
    App,
    CfnOutput,
    CustomResource,
    DefaultStackSynthesizer,
    Duration,
    Environment,
    RemovalPolicy,
    Stack,
    aws_autoscaling,
    aws_bedrockagentcore,
    aws_cloudwatch,
    aws_ec2,
    aws_ecs,
    aws_iam,
    aws_lambda,
    aws_logs,
    aws_secretsmanager,
)

HERE = Path(__file__).parent
app = App()
ENVIRONMENT = Environment(account="111122223333", region="us-east-2")


def stack(name: str) -> Stack:
    """Return a new stack of the app, in the embedded account."""
    return Stack(app, name, env=ENVIRONMENT, synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=False))


def network(scope: Stack) -> aws_ec2.Vpc:
    """Return a VPC with NAT, an endpoint and flow logs."""
    vpc = aws_ec2.Vpc(scope, "Vpc", availability_zones=["us-east-2a", "us-east-2b"], nat_gateways=1)
    vpc.add_gateway_endpoint("S3", service=aws_ec2.GatewayVpcEndpointAwsService.S3)
    vpc.add_flow_log("Flow")
    return vpc


def hosts(scope: Stack, vpc: aws_ec2.Vpc) -> aws_autoscaling.AutoScalingGroup:
    """Return EFA hosts in a placement group."""
    group = aws_ec2.SecurityGroup(scope, "Efa", vpc=vpc, allow_all_outbound=False)
    group.add_ingress_rule(group, aws_ec2.Port.all_traffic())
    group.add_egress_rule(group, aws_ec2.Port.all_traffic())
    placement = aws_ec2.PlacementGroup(scope, "Placement", strategy=aws_ec2.PlacementGroupStrategy.CLUSTER)
    role = aws_iam.Role(scope, "HostRole", assumed_by=aws_iam.ServicePrincipal("ec2.amazonaws.com"))
    template = aws_ec2.LaunchTemplate(
        scope,
        "Template",
        instance_type=aws_ec2.InstanceType("trn2.48xlarge"),
        machine_image=aws_ecs.EcsOptimizedImage.amazon_linux2023(aws_ecs.AmiHardwareType.NEURON),
        role=role,
        placement_group=placement,
        user_data=aws_ec2.UserData.for_linux(),
    )
    default = template.node.default_child
    assert isinstance(default, aws_ec2.CfnLaunchTemplate)
    interfaces = [
        {
            "NetworkCardIndex": card,
            "DeviceIndex": int(card > 0),
            "InterfaceType": "efa",
            "Groups": [group.security_group_id],
        }
        for card in range(16)
    ]
    default.add_property_override("LaunchTemplateData.NetworkInterfaces", interfaces)
    default.add_property_deletion_override("LaunchTemplateData.SecurityGroupIds")
    subnets = aws_ec2.SubnetSelection(subnets=[vpc.private_subnets[0]])
    return aws_autoscaling.AutoScalingGroup(
        scope,
        "Hosts",
        vpc=vpc,
        vpc_subnets=subnets,
        launch_template=template,
        min_capacity=0,
        max_capacity=4,
        desired_capacity=int(app.node.try_get_context("size") or 1),
    )


def service(scope: Stack, vpc: aws_ec2.Vpc, group: aws_autoscaling.AutoScalingGroup) -> None:
    """Run an image asset on the hosts."""
    cluster = aws_ecs.Cluster(scope, "Cluster", vpc=vpc)
    provider = aws_ecs.AsgCapacityProvider(
        scope, "Provider", auto_scaling_group=group, enable_managed_termination_protection=False
    )
    cluster.add_asg_capacity_provider(provider)
    task = aws_ecs.Ec2TaskDefinition(scope, "Task", network_mode=aws_ecs.NetworkMode.HOST)
    logs = aws_logs.LogGroup(scope, "Logs", removal_policy=RemovalPolicy.DESTROY)
    task.add_container(
        "main",
        image=aws_ecs.ContainerImage.from_asset(str(HERE / "image")),
        memory_reservation_mib=512,
        logging=aws_ecs.LogDriver.aws_logs(stream_prefix="main", log_group=logs),
    )
    strategy = [aws_ecs.CapacityProviderStrategy(capacity_provider=provider.capacity_provider_name, weight=1)]
    aws_ecs.Ec2Service(
        scope, "Service", cluster=cluster, task_definition=task, capacity_provider_strategies=strategy, desired_count=1
    )


def keys(scope: Stack) -> aws_secretsmanager.Secret:
    """Have a function read a secret for a custom resource."""
    secret = aws_secretsmanager.Secret(scope, "Key")
    function = aws_lambda.Function(
        scope,
        "Reader",
        runtime=aws_lambda.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=aws_lambda.Code.from_asset(str(HERE / "function")),
        timeout=Duration.seconds(120),
    )
    if app.node.try_get_context("grant") != "no":
        secret.grant_read(function)
    properties = {"SecretId": secret.secret_arn}
    length = CustomResource(
        scope, "KeyLength", service_token=function.function_arn, resource_type="Custom::Length", properties=properties
    )
    length.node.add_dependency(function)
    CfnOutput(scope, "Length", value=length.get_att_string("Length"))
    errors = function.metric_errors()
    aws_cloudwatch.Alarm(scope, "Errors", metric=errors, threshold=1, evaluation_periods=1)
    return secret


def gateway(scope: Stack) -> None:
    """Front an inference provider by AgentCore."""
    role = aws_iam.Role(scope, "GatewayRole", assumed_by=aws_iam.ServicePrincipal("bedrock-agentcore.amazonaws.com"))
    made = aws_bedrockagentcore.CfnGateway(
        scope, "Gateway", name="small", authorizer_type="AWS_IAM", role_arn=role.role_arn
    )
    target = aws_bedrockagentcore.CfnGatewayTarget
    inference = {"Provider": {"Endpoint": "https://llm.example.com"}}
    one = aws_bedrockagentcore.CfnGatewayTarget(
        scope,
        "Target",
        name="llm",
        gateway_identifier=made.attr_gateway_identifier,
        target_configuration=target.TargetConfigurationProperty(),
        credential_provider_configurations=[
            target.CredentialProviderConfigurationProperty(credential_provider_type="GATEWAY_IAM_ROLE")
        ],
    )
    one.add_property_override("TargetConfiguration", {"Inference": inference})


net = stack("small-network")
vpc = network(net)
work = stack("small-work")
service(work, vpc, hosts(work, vpc))
rest = stack("small-rest")
keys(rest)
gateway(rest)
app.synth()
