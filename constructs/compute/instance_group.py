"""Run a group of Trainium hosts, side by side."""

from __future__ import annotations

from typing import Any, cast

from aws_cdk import CfnResource, Duration, Stack, Token
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from constructs.compute.capacity import empty_before_end, launch_template_data
from constructs.compute.user_data import user_data
from constructs.network.efa import efa_interfaces
from constructs.review.acknowledge import acknowledge, acknowledge_finding
from tandem.spec.capacity import Spot
from tandem.spec.instances import InstanceType
from tandem.spec.workers import InstanceGroup

_ROOT_VOLUME_GIB = 500
"""Room for the image and, on a type without a disk of its own, the weights of a 70B model (141 GB in bf16)."""


class TrainiumGroup(Construct):
    """Hold a launch template with every EFA interface, an Auto Scaling group and its capacity provider.

    All hosts stand in ``subnet``, and but for those of a block in ``placement_group``: both end at the zone's border,
    and EFA's bypass with them. ECS knows the hosts by the attribute ``tandem.group``, the group's name.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        subnet: ec2.ISubnet,
        placement_group: ec2.CfnPlacementGroup,
        security_group: ec2.ISecurityGroup,
        profile: iam.IInstanceProfile,
        group: InstanceGroup,
        kind: InstanceType,
        volume_key: kms.IKey,
    ) -> None:
        super().__init__(scope, construct_id)
        interfaces = efa_interfaces(
            kind,
            group.efa_interfaces or kind.efa_interfaces,
            layout=group.efa_layout,
            security_group_id=security_group.security_group_id,
        )
        capacity = launch_template_data(group.capacity, placement_group.ref)
        data = {"NetworkInterfaces": interfaces, **capacity}
        self.launch_template = self._launch_template(kind, data, group, profile, volume_key)
        self.auto_scaling_group = autoscaling.AutoScalingGroup(
            self,
            "Hosts",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=[subnet]),
            launch_template=self.launch_template,
            # below the size that is asked for, so that missing capacity holds up no deployment; what scales the group
            # in keeps the file's minimum
            min_capacity=0,
            desired_capacity=group.count,
            max_capacity=group.most,
            # a Spot host at risk is replaced while it still serves: two minutes' notice are less than any start takes
            capacity_rebalance=isinstance(group.capacity, Spot) or None,
            group_metrics=[autoscaling.GroupMetrics.all()],
        )
        acknowledge_finding(
            self.auto_scaling_group,
            "Annotation::@aws-cdk/aws-autoscaling:desiredCapacitySet",
            "the file says the size; an update leaves it alone where the file has not changed it",
        )
        empty_before_end(self, group.capacity, self.auto_scaling_group)
        self.capacity_provider = ecs.AsgCapacityProvider(
            self,
            "Capacity",
            auto_scaling_group=self.auto_scaling_group,
            # daemons, which the workers are, do not count in ECS's own scaling
            enable_managed_scaling=False,
            # any host may go, and protected ones outlive their stack: it could not be deleted (aws-cdk#18179)
            enable_managed_termination_protection=False,
            # ECS itself moves workers off a host that is to go, without CDK's function for it
            enable_managed_draining=True,
        )
        acknowledge(
            self.auto_scaling_group,
            AwsSolutions_AS3="an alarm tells of missing hosts, the dashboard of those in service, ECS of the rest",
        )

    def allow_replacement_by(self, role: iam.IRole) -> None:
        """Let a worker's ``role`` have Auto Scaling replace hosts of this group and of no other."""
        stack, group = Stack.of(self), self.auto_scaling_group
        pattern = "arn:{}:autoscaling:{}:{}:autoScalingGroup:*:autoScalingGroupName/{}"
        arn = pattern.format(stack.partition, stack.region, stack.account, group.auto_scaling_group_name)
        role.add_to_principal_policy(iam.PolicyStatement(actions=["autoscaling:SetInstanceHealth"], resources=[arn]))
        reason = "the group's ARN has an id that only Auto Scaling knows; the name in it is this group's"
        # as cdk-nag spells it: a reference by its logical id
        account = "<AWS::AccountId>" if Token.is_unresolved(stack.account) else stack.account
        name = f"<{stack.get_logical_id(cast(CfnResource, group.node.default_child))}>"
        found = pattern.format(stack.partition, stack.region, account, name)
        acknowledge_finding(role, f"AwsSolutions-IAM5[Resource::{found}]", reason)

    def metric_in_service(self) -> cloudwatch.Metric:
        """Return the number of hosts in service."""
        return self._metric("GroupInServiceInstances", label=self.node.path)

    def metric_missing(self) -> cloudwatch.MathExpression:
        """Return how many hosts the group wants and does not have; above 0 for long where EC2 has none to give."""
        return cloudwatch.MathExpression(
            expression="wanted - present",
            using_metrics={
                "wanted": self._metric("GroupDesiredCapacity"),
                "present": self._metric("GroupInServiceInstances"),
            },
            period=Duration.minutes(5),
            label=self.node.path,
        )

    def _metric(self, name: str, label: str | None = None) -> cloudwatch.Metric:
        group = {"AutoScalingGroupName": self.auto_scaling_group.auto_scaling_group_name}
        return cloudwatch.Metric(namespace="AWS/AutoScaling", metric_name=name, dimensions_map=group, label=label)

    def _launch_template(
        self,
        kind: InstanceType,
        data: dict[str, Any],
        group: InstanceGroup,
        profile: iam.IInstanceProfile,
        volume_key: kms.IKey,
    ) -> ec2.LaunchTemplate:
        template = ec2.LaunchTemplate(
            self,
            "Template",
            instance_type=ec2.InstanceType(kind.name),
            machine_image=ecs.EcsOptimizedImage.amazon_linux2023(ecs.AmiHardwareType.NEURON),
            instance_profile=profile,
            user_data=user_data(group.name, spot=isinstance(group.capacity, Spot)),
            require_imdsv2=True,
            # containers reach IMDS by the host network, so one hop is enough
            http_put_response_hop_limit=1,
            block_devices=[_root_volume(volume_key)],
        )
        # the construct knows no network interfaces and no reservations, and a placement group only by an attribute
        resource = cast(CfnResource, template.node.default_child)
        for key, value in data.items():
            resource.add_property_override(f"LaunchTemplateData.{key}", value)
        return template


def _root_volume(key: kms.IKey) -> ec2.BlockDevice:
    return ec2.BlockDevice(
        device_name="/dev/xvda",
        volume=ec2.BlockDeviceVolume.ebs(
            _ROOT_VOLUME_GIB,
            encrypted=True,
            kms_key=key,
            volume_type=ec2.EbsDeviceVolumeType.GP3,
            delete_on_termination=True,
        ),
    )
