"""Check that the gateway can find every worker."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.doctor.aws import Aws
from tandem.doctor.deployed import physical_ids
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages


def check(deployment: Deployment, aws: Aws) -> Result:
    """Count the healthy instances in Cloud Map of each stage, among which the gateway chooses."""
    found: list[str] = []
    faults: list[str] = []
    for stage, workers in stages(deployment):
        asked = sum(group.least for group in workers.groups)
        healthy = _healthy(deployment, aws, stage)
        count = f"{healthy} of {asked} {stage} workers registered healthy"
        (found if healthy >= asked else faults).append(count)
    if faults:
        return failed("; ".join(faults), "read the workers' logs: a cold Neuron compile may take an hour")
    return passed("; ".join(found) or "no worker is asked for")


def _healthy(deployment: Deployment, aws: Aws, stage: str) -> int:
    services = physical_ids(aws, deployment, stage, "AWS::ServiceDiscovery::Service")
    return sum(list(_states(aws, service_id)).count("HEALTHY") for service_id in services)


def _states(aws: Aws, service_id: str) -> Iterator[str]:
    """Yield the health of each registered instance, page by page: botocore has no paginator for it."""
    discovery, more = aws.client("servicediscovery"), {"ServiceId": service_id}
    while True:
        page = discovery.get_instances_health_status(**more)
        yield from page["Status"].values()
        if "NextToken" not in page:
            return
        more["NextToken"] = page["NextToken"]
