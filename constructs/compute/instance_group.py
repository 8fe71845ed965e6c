"""Run a group of Trainium hosts, side by side."""

from __future__ import annotations

from typing import Any, cast

from aws_cdk import CfnResource
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from constructs.network.efa import efa_interfaces
from constructs.review.acknowledge import acknowledge, acknowledge_finding
from tandem.spec.deployment import InstanceGroup
from tandem.spec.instances import InstanceType

_ROOT_VOLUME_GIB = 500
"""Room for the image, compiled artifacts and the weights of a 70B model (141 GB in bf16)."""


class TrainiumGroup(Construct):
    """Hold a launch template with every EFA interface, an Auto Scaling group of fixed size and its capacity provider.

    All hosts stand in ``subnet`` and ``placement_group``: both end at the zone's border, and EFA's bypass with them.
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
        group: InstanceGroup,
        kind: InstanceType,
    ) -> None:
        super().__init__(scope, construct_id)
        interfaces = efa_interfaces(
            group.efa_interfaces or kind.efa_interfaces, security_group_id=security_group.security_group_id
        )
        self.launch_template = self._launch_template(kind, interfaces, placement_group.ref)
        self.auto_scaling_group = autoscaling.AutoScalingGroup(
            self,
            "Hosts",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=[subnet]),
            launch_template=self.launch_template,
            min_capacity=group.count,
            max_capacity=group.count,
            group_metrics=[autoscaling.GroupMetrics.all()],
        )
        self.capacity_provider = ecs.AsgCapacityProvider(
            self,
            "Capacity",
            auto_scaling_group=self.auto_scaling_group,
            # the size is fixed, and protected hosts outlive their stack: it could not be deleted (aws-cdk#18179)
            enable_managed_termination_protection=False,
            # ECS itself moves workers off a host that is to go, without CDK's function for it
            enable_managed_draining=True,
        )
        acknowledge(
            self.auto_scaling_group,
            AwsSolutions_AS3="the group has a fixed size; the dashboard shows hosts in service and ECS events the rest",
        )

    def acknowledge_agent(self) -> None:
        """Accept what CDK grants the ECS agent when the group joins a cluster."""
        for finding in ("Action::ecs:Submit*", "Resource::*"):
            acknowledge_finding(
                self, f"AwsSolutions-IAM5[{finding}]", "the ECS agent's own calls; CDK limits them to the cluster"
            )

    def _launch_template(
        self, kind: InstanceType, interfaces: list[dict[str, Any]], placement_group_name: str
    ) -> ec2.LaunchTemplate:
        role = iam.Role(self, "HostRole", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        template = ec2.LaunchTemplate(
            self,
            "Template",
            instance_type=ec2.InstanceType(kind.name),
            machine_image=ecs.EcsOptimizedImage.amazon_linux2023(ecs.AmiHardwareType.NEURON),
            role=role,
            user_data=ec2.UserData.for_linux(),
            require_imdsv2=True,
            # containers reach IMDS by the host network, so one hop is enough
            http_put_response_hop_limit=1,
            block_devices=[_root_volume()],
        )
        # the construct knows no network interfaces, and a placement group only by an attribute
        resource = cast(CfnResource, template.node.default_child)
        resource.add_property_override("LaunchTemplateData.NetworkInterfaces", interfaces)
        resource.add_property_override("LaunchTemplateData.Placement.GroupName", placement_group_name)
        return template


def _root_volume() -> ec2.BlockDevice:
    return ec2.BlockDevice(
        device_name="/dev/xvda",
        volume=ec2.BlockDeviceVolume.ebs(
            _ROOT_VOLUME_GIB, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3, delete_on_termination=True
        ),
    )
