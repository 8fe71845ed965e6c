"""Check that the deployed security groups let one peer reach another."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.errors import RehearsalError


class PathError(RehearsalError):
    """Say which way is closed, and at which end."""


def require_path(aws: Api, source: Sequence[str], target: Sequence[str], port: int, what: str) -> None:
    """Raise ``PathError`` unless some group of ``source`` may send to, and some of ``target`` accept on, ``port``."""
    found = aws.client("ec2").describe_security_groups(GroupIds=[*source, *target])["SecurityGroups"]
    rules = {group["GroupId"]: group for group in found}
    if not any(_open(rules[group]["IpPermissions"], port, source) for group in target):
        raise PathError(f"{what}: no security group of the receiver admits port {port} from the sender: add the rule")
    if not any(_open(rules[group]["IpPermissionsEgress"], port, target) for group in source):
        raise PathError(f"{what}: no security group of the sender lets it out to port {port}: add the rule")


def require_admission(aws: Api, target: Sequence[str], port: int, what: str) -> None:
    """Raise ``PathError`` unless some group of ``target`` admits ``port`` from an address range."""
    found = aws.client("ec2").describe_security_groups(GroupIds=list(target))["SecurityGroups"]
    permissions = [permission for group in found for permission in group["IpPermissions"]]
    if not any(_covers(permission, port) and permission.get("IpRanges") for permission in permissions):
        raise PathError(f"{what}: no security group admits port {port} from an address range: add the rule")


def _open(permissions: list[dict[str, Any]], port: int, peers: Collection[str]) -> bool:
    return any(_covers(permission, port) and _names(permission, peers) for permission in permissions)


def _covers(permission: dict[str, Any], port: int) -> bool:
    if permission["IpProtocol"] == "-1":
        return True
    return permission["IpProtocol"] == "tcp" and bool(permission["FromPort"] <= port <= permission["ToPort"])


def _names(permission: dict[str, Any], peers: Collection[str]) -> bool:
    anywhere = any(entry.get("CidrIp") == "0.0.0.0/0" for entry in permission.get("IpRanges", []))
    return anywhere or any(pair.get("GroupId") in peers for pair in permission.get("UserIdGroupPairs", []))
