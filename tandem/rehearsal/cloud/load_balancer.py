"""Find the task behind a deployed load balancer, as a TLS client that calls one of its names would reach it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tandem.rehearsal.cloud.api import Api


class UnreachableError(Exception):
    """Tell why a client of the load balancer reaches nothing."""


@dataclass(frozen=True, slots=True)
class Behind:
    """Say where a listener forwards to; ``secure`` where its target group speaks HTTPS."""

    address: str
    port: int
    secure: bool


def behind(api: Api, dns_name: str, host: str, port: int) -> Behind:
    """Return the first target of the HTTPS listener on ``port``, whose certificate must bear ``host``.

    TLS with the client ends here: the rehearsal has the certificate's ARN, not a key that anybody trusts.
    """
    balancing = api.client("elbv2")
    balancers = balancing.describe_load_balancers()["LoadBalancers"]
    [arn] = [one["LoadBalancerArn"] for one in balancers if one["DNSName"] == dns_name] or [None]
    if arn is None:
        raise UnreachableError(f"no load balancer has the name {dns_name}")
    listeners = balancing.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    listener = next((one for one in listeners if one["Port"] == port and one["Protocol"] == "HTTPS"), None)
    if listener is None:
        raise UnreachableError(f"{dns_name} has no HTTPS listener on port {port}")
    _require_name(api, listener, host)
    return _target(api, listener)


def _require_name(api: Api, listener: dict[str, Any], host: str) -> None:
    certificate = listener["Certificates"][0]["CertificateArn"]
    found = api.client("acm").describe_certificate(CertificateArn=certificate)["Certificate"]
    names = {found["DomainName"], *found.get("SubjectAlternativeNames", [])}
    # a wildcard stands for one label
    if not any(fnmatchcase(host, name) and host.count(".") == name.count(".") for name in names):
        raise UnreachableError(f"the listener's certificate is for {', '.join(sorted(names))}, not for {host}")


def _target(api: Api, listener: dict[str, Any]) -> Behind:
    group = listener["DefaultActions"][0]["TargetGroupArn"]
    balancing = api.client("elbv2")
    protocol = balancing.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]["Protocol"]
    health = balancing.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    if not health:
        raise UnreachableError(f"target group {group} has no target")
    return Behind(health[0]["Target"]["Id"], int(health[0]["Target"]["Port"]), protocol == "HTTPS")
