"""Give hosts their EFA interfaces and the security group that EFA needs."""

from __future__ import annotations

from typing import Any

from aws_cdk import aws_ec2 as ec2
from constructs import Construct


class EfaSecurityGroup(ec2.SecurityGroup):
    """Allow all traffic within the group, in both directions, as EFA requires (EC2 user guide, efa.html).

    Beyond that only outbound HTTPS: images, weights, AWS APIs.
    """

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc) -> None:
        super().__init__(scope, construct_id, vpc=vpc, allow_all_outbound=False, description="EFA between workers")
        self.add_ingress_rule(self, ec2.Port.all_traffic(), "EFA from the same group")
        self.add_egress_rule(self, ec2.Port.all_traffic(), "EFA to the same group")
        self.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "images, weights and AWS APIs")


def efa_interfaces(count: int, *, security_group_id: str) -> list[dict[str, Any]]:
    """Lay out ``count`` EFA interfaces, one a network card, as launch template ``NetworkInterfaces``.

    Card 0 carries the primary interface at device 0, every further card one at device 1 (aws-neuron-sdk
    setup-trn1-multi-node-execution.rst and AWS's trn2 node group template). None has a public address: an instance
    with several interfaces cannot get one, and a worker must not. Nor does any name a
    subnet: the Auto Scaling group's is used.
    """
    return [
        {
            "NetworkCardIndex": card,
            "DeviceIndex": 0 if card == 0 else 1,
            "InterfaceType": "efa",
            "Groups": [security_group_id],
            "DeleteOnTermination": True,
        }
        for card in range(count)
    ]
