"""A path is open where both ends let it be, and closed ends are told apart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.paths import PathError, require_admission, require_path

EVERYONE = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
NewGroup = Callable[..., str]
_names = count()


@pytest.fixture
def group(aws: Api, ids: dict[str, str]) -> NewGroup:
    """Return a maker of groups that let nothing in or out but what is asked for."""
    ec2 = aws.client("ec2")

    def make(*, ingress: list[dict[str, Any]] | None = None, egress: list[dict[str, Any]] | None = None) -> str:
        name = f"group-{next(_names)}"
        made = str(ec2.create_security_group(GroupName=name, Description=name, VpcId=ids["Vpc"])["GroupId"])
        ec2.revoke_security_group_egress(GroupId=made, IpPermissions=[{"IpProtocol": "-1", **EVERYONE}])
        if ingress:
            ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=ingress)
        if egress:
            ec2.authorize_security_group_egress(GroupId=made, IpPermissions=egress)
        return made

    return make


def tcp(first: int, last: int | None = None, **peers: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": first, "ToPort": last or first, **(peers or EVERYONE)}


def of(name: str) -> dict[str, Any]:
    return {"UserIdGroupPairs": [{"GroupId": name}]}


def test_the_deployed_paths_are_open(aws: Api, ids: dict[str, str]) -> None:
    require_path(aws, [ids["BalancerGroup"]], [ids["GatewayGroup"]], 8080, "clients")
    require_path(aws, [ids["GatewayGroup"]], [ids["WorkerGroup"]], 8100, "prefill")
    require_admission(aws, [ids["WorkerGroup"]], 5559, "handshake")


@pytest.mark.parametrize("port", [8099, 8101, 5559])
def test_a_receiver_that_admits_other_ports_only_is_closed(aws: Api, ids: dict[str, str], port: int) -> None:
    message = f"prefill: no security group of the receiver admits port {port} from the sender: add the rule"
    with pytest.raises(PathError, match=message):
        require_path(aws, [ids["GatewayGroup"]], [ids["WorkerGroup"]], port, "prefill")


def test_a_receiver_that_admits_another_sender_only_is_closed(aws: Api, ids: dict[str, str]) -> None:
    with pytest.raises(PathError, match="of the receiver admits port 8100"):
        require_path(aws, [ids["BalancerGroup"]], [ids["WorkerGroup"]], 8100, "prefill")


@pytest.mark.parametrize("egress", [[], [tcp(443)], [tcp(8100, IpRanges=[{"CidrIp": "10.9.0.0/16"}])]])
def test_a_sender_that_lets_nothing_out_is_closed(aws: Api, group: NewGroup, egress: list[dict[str, Any]]) -> None:
    source, target = group(egress=egress), group(ingress=[tcp(8100)])
    message = "prefill: no security group of the sender lets it out to port 8100: add the rule"
    with pytest.raises(PathError, match=message):
        require_path(aws, [source], [target], 8100, "prefill")


def test_rules_may_name_groups_ranges_and_all_protocols(aws: Api, group: NewGroup) -> None:
    target = group(ingress=[{"IpProtocol": "-1", **EVERYONE}])
    source = group(egress=[tcp(8000, 9000, **of(target))])
    require_path(aws, [source], [target], 8100, "prefill")
    with pytest.raises(PathError, match="of the sender"):
        require_path(aws, [source], [target], 9001, "prefill")


def test_udp_opens_nothing(aws: Api, group: NewGroup) -> None:
    source = group(egress=[{"IpProtocol": "-1", **EVERYONE}])
    target = group(ingress=[{**tcp(8100), "IpProtocol": "udp"}])
    with pytest.raises(PathError, match="of the receiver"):
        require_path(aws, [source], [target], 8100, "prefill")


def test_any_of_several_groups_may_open_an_end(aws: Api, group: NewGroup, ids: dict[str, str]) -> None:
    require_path(aws, [group(), ids["GatewayGroup"]], [group(), ids["WorkerGroup"]], 8100, "prefill")


@pytest.mark.parametrize(("name", "port"), [("WorkerGroup", 5560), ("WorkerGroup", 8100), ("GatewayGroup", 8080)])
def test_admission_is_by_an_address_range(aws: Api, ids: dict[str, str], name: str, port: int) -> None:
    message = f"handshake: no security group admits port {port} from an address range: add the rule"
    with pytest.raises(PathError, match=message):
        require_admission(aws, [ids[name]], port, "handshake")
