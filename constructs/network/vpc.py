"""Lay out the VPC of one deployment."""

from __future__ import annotations

import ipaddress

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_servicediscovery as servicediscovery
from constructs import Construct

from constructs.review.acknowledge import acknowledge, acknowledge_finding
from tandem.spec.network import Network

_SUBNET_PREFIX = 24


class InferenceVpc(Construct):
    """Hold load balancer subnets in two or three zones, and one EFA subnet with its cluster placement group.

    EFA's operating-system bypass is used within one subnet and placement group, so prefill and decode workers share
    both (vllm-neuron, disaggregated inference). Workers register in ``namespace``, under the private name ``domain``.
    ``efa_subnet`` is the upper half of the VPC's range, since a
    trn2.48xlarge takes 16 addresses.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        network: Network,
        domain: str,
        encryption_key: kms.IKey,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        nat = ec2.NatGatewayProvider()
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(network.cidr),
            availability_zones=network.load_balancer_zones,
            nat_gateways=1,
            nat_gateway_provider=nat,
            subnet_configuration=[
                _subnets("Public", ec2.SubnetType.PUBLIC),
                _subnets("Private", ec2.SubnetType.PRIVATE_WITH_EGRESS),
            ],
        )
        acknowledge(self.vpc, NIST_VPCNoUnrestrictedRouteToIGW="public subnets hold the NAT gateway, and nothing else")
        self.efa_subnet = self._efa_subnet(network, nat)
        self.placement_group = ec2.CfnPlacementGroup(self, "Placement", strategy="cluster")
        self.namespace = servicediscovery.PrivateDnsNamespace(self, "Namespace", vpc=self.vpc, name=domain)
        self._flow_log(encryption_key, log_retention)
        acknowledge_finding(
            self, "CloudFormation-Validate::W3010", "Trainium is bought by the zone, so the deployment file names zones"
        )

    @property
    def private_subnets(self) -> list[ec2.SubnetSelection]:
        """Select every subnet that something runs in."""
        private = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
        return [private, ec2.SubnetSelection(subnets=[self.efa_subnet])]

    def _efa_subnet(self, network: Network, nat: ec2.NatGatewayProvider) -> ec2.PrivateSubnet:
        upper_half = list(ipaddress.IPv4Network(network.cidr).subnets(prefixlen_diff=1))[1]
        subnet = ec2.PrivateSubnet(
            self,
            "EfaSubnet",
            vpc_id=self.vpc.vpc_id,
            availability_zone=network.efa_zone,
            cidr_block=str(upper_half),
            map_public_ip_on_launch=False,
        )
        subnet.add_default_nat_route(nat.configured_gateways[0].gateway_id)
        return subnet

    def _flow_log(self, encryption_key: kms.IKey, log_retention: logs.RetentionDays) -> None:
        group = logs.LogGroup(self, "FlowLogs", retention=log_retention, encryption_key=encryption_key)
        self.vpc.add_flow_log("FlowLog", destination=ec2.FlowLogDestination.to_cloud_watch_logs(group))


def _subnets(name: str, kind: ec2.SubnetType) -> ec2.SubnetConfiguration:
    return ec2.SubnetConfiguration(
        name=name,
        subnet_type=kind,
        cidr_mask=_SUBNET_PREFIX,
        map_public_ip_on_launch=False if kind is ec2.SubnetType.PUBLIC else None,
    )
