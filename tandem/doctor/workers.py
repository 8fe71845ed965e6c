"""Ask the workers themselves, where they are in reach: from inside the VPC."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.handoff.worker_status import READY
from tandem.doctor import http
from tandem.doctor.aws import Aws
from tandem.doctor.deployed import physical_ids
from tandem.doctor.result import UndeterminedError
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages


@dataclass(frozen=True, slots=True)
class Worker:
    """Hold one registered worker and what it says of itself on its status port."""

    stage: str
    address: str
    said: dict[str, Any]

    @property
    def name(self) -> str:
        """The stage and the address."""
        return f"{self.stage} worker {self.address}"


def ask_workers(deployment: Deployment, aws: Aws) -> list[Worker]:
    """Return every registered worker; raise ``UndeterminedError`` where one is out of reach, or there is none."""
    found = [
        Worker(stage, address, _ask(stage, f"http://{address}:{workers.status_port}{READY}"))
        for stage, workers in stages(deployment)
        for address in _addresses(deployment, aws, stage)
    ]
    if not found and deployment.prefill:
        raise UndeterminedError("no worker is registered", "see what check workers-registered says")
    return found


def _addresses(deployment: Deployment, aws: Aws, stage: str) -> Iterator[str]:
    pages = aws.client("servicediscovery").get_paginator("list_instances")
    for service_id in physical_ids(aws, deployment, stage, "AWS::ServiceDiscovery::Service"):
        for page in pages.paginate(ServiceId=service_id):
            yield from (one["Attributes"]["AWS_INSTANCE_IPV4"] for one in page["Instances"])


def _ask(stage: str, url: str) -> dict[str, Any]:
    """Return the worker's answer; one that is not ready answers as well."""
    try:
        answer = http.get(url, {})
        said = json.loads(answer.body)
    except http.UnreachableError as error:
        raise UndeterminedError(
            f"{stage} worker {url} is not reachable from here: {error}", "ask inside the VPC"
        ) from error
    except ValueError as error:
        raise UndeterminedError(f"{url} answers {answer.status} without JSON", "see what runs on that port") from error
    return said if isinstance(said, dict) else {}
