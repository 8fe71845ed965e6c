"""Give hosts their EFA interfaces and the security group that EFA needs."""

from __future__ import annotations

from typing import Any, Literal

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from constructs.review.acknowledge import acknowledge
from tandem.spec.instances import InstanceType


class EfaSecurityGroup(ec2.SecurityGroup):
    """Allow all traffic within the group, in both directions, as EFA requires (EC2 user guide, efa.html).

    Beyond that only outbound HTTPS: images, weights, AWS APIs.
    """

    def __init__(self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc) -> None:
        super().__init__(scope, construct_id, vpc=vpc, allow_all_outbound=False, description="EFA between workers")
        self.add_ingress_rule(self, ec2.Port.all_traffic(), "EFA from the same group")
        self.add_egress_rule(self, ec2.Port.all_traffic(), "EFA to the same group")
        acknowledge(self, NIST_EC2RestrictedCommonPorts="EFA needs all traffic within its group, and only there")
        self.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "images, weights and AWS APIs")


def efa_interfaces(
    kind: InstanceType, count: int, *, layout: Literal["efa", "ena-plus-efa-only"], security_group_id: str
) -> list[dict[str, Any]]:
    """Lay out ``count`` EFA interfaces, one a network card, as launch template ``NetworkInterfaces``.

    Both published layouts are there. ``efa``: each interface is EFA with an address, on card 0 at device 0 and on
    further cards at device 1, or 0 where a card carries one interface only (aws-neuron-sdk
    setup-trn1-multi-node-execution.rst, AWS's trn2 node group template, ParallelCluster). ``ena-plus-efa-only``: an
    ENA interface on card 0 at device 0; EFA without address beside it at device 1, and on further cards at device 0
    (EC2 user guide, efa-acc-inst-types). None has a public address: an instance with several interfaces cannot get
    one, and a worker must not. Nor does any name a subnet: the Auto Scaling group's is used.
    """
    if layout == "efa":
        further = 0 if kind.interfaces_per_card == 1 else 1
        places = [("efa", card, further if card else 0) for card in range(count)]
    else:
        places = [("interface", 0, 0), *(("efa-only", card, 0 if card else 1) for card in range(count))]
    return [
        {
            "NetworkCardIndex": card,
            "DeviceIndex": device,
            "InterfaceType": interface,
            "Groups": [security_group_id],
            "DeleteOnTermination": True,
        }
        for interface, card, device in places
    ]
