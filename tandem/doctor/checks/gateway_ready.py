"""Check that the gateway's tasks are healthy behind the load balancer, and ready to serve."""

from __future__ import annotations

from typing import Any

from tandem.doctor import http
from tandem.doctor.aws import Aws
from tandem.doctor.deployed import GATEWAY, physical_ids
from tandem.doctor.result import Result, UndeterminedError, failed, passed
from tandem.spec.deployment import Deployment

_READY = "/ready"


def check(deployment: Deployment, aws: Aws) -> Result:
    """Ask the load balancer for its targets' health, and each target, as far as in reach, whether it is ready."""
    targets = _targets(deployment, aws)
    healthy = [url for url, state in targets.items() if state == "healthy"]
    if len(healthy) < deployment.gateway.min_count:
        states = ", ".join(f"{url} {state}" for url, state in targets.items()) or "no target"
        return failed(f"{len(healthy)} of {deployment.gateway.min_count} healthy: {states}", "read the gateway's logs")
    lacks = [f"{url}: {lack}" for url in healthy if (lack := _lack(url))]
    if lacks:
        return failed("; ".join(lacks), "bring up what the gateway misses, as it says itself")
    return passed(f"{len(healthy)} of {deployment.gateway.min_count} gateway tasks ready")


def _targets(deployment: Deployment, aws: Aws) -> dict[str, str]:
    """Return the health of each target by its URL."""
    balancing, found = aws.client("elbv2"), {}
    for arn in physical_ids(aws, deployment, GATEWAY, "AWS::ElasticLoadBalancingV2::TargetGroup"):
        group: dict[str, Any] = balancing.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
        for one in balancing.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
            url = f"{group['Protocol'].lower()}://{one['Target']['Id']}:{one['Target']['Port']}"
            found[url] = str(one["TargetHealth"]["State"])
    return found


def _lack(url: str) -> str:
    """Return why a gateway task is not ready, empty where it is; raise ``UndeterminedError`` if out of reach."""
    try:
        answer = http.get(url + _READY, {})
    except http.UnreachableError as error:
        raise UndeterminedError(
            f"targets are healthy; {url}{_READY} is not reachable from here: {error}", "ask inside the VPC"
        ) from error
    return "" if answer.status == 200 else f"{answer.status} {answer.body.decode(errors='replace')[:200]}"
