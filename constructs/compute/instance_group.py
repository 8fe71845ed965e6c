"""Run a group of Trainium hosts in one cluster placement group."""

from __future__ import annotations

from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct
from constructs.network.efa import efa_interfaces
from constructs.review.acknowledge import acknowledge, acknowledge_finding

from tandem.spec.deployment import InstanceGroup
from tandem.spec.instances import InstanceType

_ROOT_VOLUME_GIB = 200


class TrainiumGroup(Construct):
    """Hold a placement group, a launch template with every EFA interface, an instance group and its capacity provider.

    All hosts stand in ``subnet``: a cluster placement group and EFA's bypass both end at the zone's border.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        subnet: ec2.ISubnet,
        security_group: ec2.ISecurityGroup,
        group: InstanceGroup,
        kind: InstanceType,
    ) -> None:
        super().__init__(scope, construct_id)
        self.placement_group = ec2.PlacementGroup(self, "Placement", strategy=ec2.PlacementGroupStrategy.CLUSTER)
        interfaces = efa_interfaces(
            group.efa_interfaces or kind.efa_interfaces,
            subnet_id=subnet.subnet_id,
            security_group_id=security_group.security_group_id,
        )
        self.launch_template = self._launch_template(kind, interfaces)
        self.auto_scaling_group = autoscaling.AutoScalingGroup(
            self,
            "Hosts",
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnets=[subnet]),
            launch_template=self.launch_template,
            min_capacity=group.count,
            max_capacity=group.count,
            group_metrics=[autoscaling.GroupMetrics.all()],
            # without a signal a missing host is a state to see, not a deployment that hangs
            signals=None,
        )
        self.capacity_provider = ecs.AsgCapacityProvider(
            self,
            "Capacity",
            auto_scaling_group=self.auto_scaling_group,
            # a host that runs a worker is not scaled in
            enable_managed_termination_protection=True,
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

    def _launch_template(self, kind: InstanceType, interfaces: list[dict[str, object]]) -> ec2.LaunchTemplate:
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
        # the construct knows neither network interfaces nor, with them, a placement group by reference
        data = "LaunchTemplateData"
        resource = template.node.default_child
        resource.add_property_override(f"{data}.NetworkInterfaces", interfaces)
        resource.add_property_override(f"{data}.Placement.GroupName", self.placement_group.node.default_child.ref)
        return template


def _root_volume() -> ec2.BlockDevice:
    return ec2.BlockDevice(
        device_name="/dev/xvda",
        volume=ec2.BlockDeviceVolume.ebs(
            _ROOT_VOLUME_GIB, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3, delete_on_termination=True
        ),
    )
