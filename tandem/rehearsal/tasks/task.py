"""Read from the embedded AWS which processes a deployment has: a task for each ECS service, and jobs beside them.

Everything here comes from the AWS APIs, nothing from the deployment file, so that what a construct forgot is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.hosts import TaskError, desired_count, instance_ids, security_groups


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """Say where ECS registers a task: a Cloud Map service or a target group, with the port it names there."""

    arn: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sidecar:
    """Describe a container beside the one that serves."""

    container: str
    image: str
    command: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Describe the first container of one deployed service, or job, and those beside it, as ECS would run them.

    ``secrets`` maps a variable to its ``valueFrom``; ``devices`` are paths in the container, ``volumes`` the host's
    folders in it. ``listed`` are the Cloud Map services that keep its address and no port. ``security_groups`` are
    those of its network interfaces: the host's in host network mode, else its own. ``hosts`` are the ids of the
    service's instances. ``health`` is the command of the container's health check, and of the tasks that are wanted a
    deployment keeps at least ``least_percent`` healthy and has at most ``most_percent`` running.
    """

    service: str
    task_definition: str
    container: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    ports: tuple[int, ...]
    devices: tuple[str, ...]
    volumes: tuple[str, ...]
    host_network: bool
    desired_count: int
    execution_role: str
    task_role: str
    discovery: tuple[Registration, ...]
    listed: tuple[str, ...]
    targets: tuple[Registration, ...]
    security_groups: tuple[str, ...]
    hosts: tuple[str, ...]
    sidecars: tuple[Sidecar, ...] = ()
    health: tuple[str, ...] = ()
    least_percent: int = 100
    most_percent: int = 200


def deployed_tasks(aws: Api) -> list[Task]:
    """Return a task for each ECS service; raise ``TaskError`` for one that could not run."""
    return [_task(aws, service) for service in _services(aws)]


def deployed_jobs(aws: Api) -> list[Task]:
    """Return a task for each family of task definitions that no service runs: an operator starts it by RunTask."""
    ecs, running = aws.client("ecs"), {_family(service["taskDefinition"]) for service in _services(aws)}
    pages = ecs.get_paginator("list_task_definitions").paginate(status="ACTIVE", sort="ASC")
    latest = {_family(arn): arn for page in pages for arn in page["taskDefinitionArns"]}
    return [_job(aws, arn) for family, arn in latest.items() if family not in running]


def _family(arn: str) -> str:
    return arn.rpartition(":")[0]


def _services(aws: Api) -> Iterator[dict[str, Any]]:
    ecs = aws.client("ecs")
    for cluster in ecs.list_clusters()["clusterArns"]:
        arns = ecs.list_services(cluster=cluster)["serviceArns"]
        found = ecs.describe_services(cluster=cluster, services=arns)["services"] if arns else []
        yield from (service for service in found if service["status"] == "ACTIVE")  # deleted ones are listed, too


def _task(aws: Api, service: dict[str, Any]) -> Task:
    job = _job(aws, service["taskDefinition"])
    registries, balancers = service.get("serviceRegistries", []), service.get("loadBalancers", [])
    percent = service.get("deploymentConfiguration", {})
    return replace(
        job,
        service=service["serviceName"],
        desired_count=desired_count(aws, service),
        discovery=tuple(_registrations(service, filter(_port, registries), "registryArn", job.container, job.ports)),
        listed=tuple(entry["registryArn"] for entry in registries if not _port(entry)),
        targets=tuple(_registrations(service, balancers, "targetGroupArn", job.container, job.ports)),
        security_groups=security_groups(aws, service),
        hosts=instance_ids(aws, service),
        least_percent=percent.get("minimumHealthyPercent", 100),
        most_percent=percent.get("maximumPercent", 200),
    )


def _job(aws: Api, arn: str) -> Task:
    definition = aws.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
    container, *others = definition["containerDefinitions"]
    return Task(
        service=definition["family"],
        task_definition=arn,
        container=container["name"],
        image=container["image"],
        command=tuple(container.get("command", [])),
        environment={entry["name"]: entry["value"] for entry in container.get("environment", [])},
        secrets={entry["name"]: entry["valueFrom"] for entry in container.get("secrets", [])},
        ports=tuple(mapping["containerPort"] for mapping in container.get("portMappings", [])),
        devices=tuple(device.get("containerPath", device["hostPath"]) for device in _devices(container)),
        volumes=tuple(mount["containerPath"] for mount in container.get("mountPoints", [])),
        host_network=definition.get("networkMode") == "host",
        desired_count=0,
        execution_role=definition.get("executionRoleArn", ""),
        task_role=definition.get("taskRoleArn", ""),
        discovery=(),
        listed=(),
        targets=(),
        security_groups=(),
        hosts=(),
        sidecars=tuple(_sidecar(other) for other in others),
        health=tuple(container.get("healthCheck", {}).get("command", [])),
    )


def _sidecar(container: dict[str, Any]) -> Sidecar:
    command = tuple(container.get("command", []))
    return Sidecar(container=container["name"], image=container["image"], command=command)


def _devices(container: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = container.get("linuxParameters", {}).get("devices", [])
    return found


def _registrations(
    service: dict[str, Any], entries: Iterable[dict[str, Any]], arn: str, container: str, ports: tuple[int, ...]
) -> Iterator[Registration]:
    for entry in entries:
        port = _port(entry)
        if entry.get("containerName", container) != container or port not in ports:
            raise TaskError(
                f"service {service['serviceName']} registers port {port} of container {entry.get('containerName')}; "
                f"its task maps {', '.join(map(str, ports)) or 'no port'} of {container}: add the port mapping"
            )
        yield Registration(arn=entry[arn], port=port)


def _port(entry: dict[str, Any]) -> int | None:
    """Return the port that a registration names; None for a registry of addresses alone."""
    port: int | None = entry.get("containerPort") or entry.get("port")
    return port
