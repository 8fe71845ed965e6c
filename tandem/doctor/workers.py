"""Ask the workers themselves, where they are in reach, from inside the VPC, and their key may be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from runtime.handoff import worker_client
from runtime.handoff.worker_client import AskError
from tandem.doctor.aws import Aws
from tandem.doctor.deployed import physical_ids
from tandem.doctor.result import UndeterminedError
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages
from tandem.spec.workers import Workers


@dataclass(frozen=True, slots=True)
class Worker:
    """Hold one registered worker and what it says of itself on its status port."""

    stage: str
    address: str
    said: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The stage and the address."""
        return f"{self.stage} worker {self.address}"


def ask_workers(deployment: Deployment, aws: Aws) -> list[Worker]:
    """Return every registered worker; raise ``UndeterminedError`` where one is out of reach, or there is none."""
    found = [each for stage, workers in stages(deployment) for each in _ask_stage(deployment, aws, stage, workers)]
    if not found and deployment.prefill:
        raise UndeterminedError("no worker is registered", "see what check workers-registered says")
    return found


def _ask_stage(deployment: Deployment, aws: Aws, stage: str, workers: Workers) -> Iterator[Worker]:
    addresses = list(_addresses(deployment, aws, stage))
    if addresses:
        key = _key(deployment, aws, stage)
        yield from (Worker(stage, address, _ask(stage, address, workers.status_port, key)) for address in addresses)


def _addresses(deployment: Deployment, aws: Aws, stage: str) -> Iterator[str]:
    pages = aws.client("servicediscovery").get_paginator("list_instances")
    for service_id in physical_ids(aws, deployment, stage, "AWS::ServiceDiscovery::Service"):
        for page in pages.paginate(ServiceId=service_id):
            yield from (one["Attributes"]["AWS_INSTANCE_IPV4"] for one in page["Instances"])


def _key(deployment: Deployment, aws: Aws, stage: str) -> str:
    """Return the worker key of a stage, the one secret that its stack holds."""
    arns = physical_ids(aws, deployment, stage, "AWS::SecretsManager::Secret")
    if not arns:
        raise UndeterminedError(f"stack {deployment.name}-{stage} holds no worker key", "finish the deploy")
    try:
        return str(aws.client("secretsmanager").get_secret_value(SecretId=arns[0])["SecretString"])
    except ClientError as error:
        said = error.response["Error"]
        raise UndeterminedError(
            f"the worker key cannot be read: {said['Code']}: {said['Message']}", f"allow reading of {arns[0]}"
        ) from error


def _ask(stage: str, address: str, port: int, key: str) -> Mapping[str, Any]:
    """Return the worker's answer; one that is not ready answers as well."""
    try:
        told = worker_client.ask(address, port, [key])
    except AskError as error:
        raise UndeterminedError(
            f"{stage} worker {address}:{port} is not reachable from here: {error}", "ask inside the VPC"
        ) from error
    if not told.proven:
        raise UndeterminedError(
            f"{address}:{port} does not prove to know the worker key", "see what runs there; after a rotation ask again"
        )
    return told.said
