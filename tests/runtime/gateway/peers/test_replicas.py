"""Tenants' limits are of the deployment: each gateway task enforces its part of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from runtime.gateway.peers.replicas import Replicas
from runtime.handoff.contract import CHAT_COMPLETIONS
from tests.runtime.gateway.admission.test_turnstile import status, tenants, until
from tests.runtime.gateway.conftest import Setup, Start


@pytest.fixture
def cloud_map(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("servicediscovery", region_name="us-east-2")


@pytest.fixture
def service(cloud_map: Any) -> str:
    cloud_map.create_http_namespace(Name="small.internal")
    (namespace,) = cloud_map.list_namespaces()["Namespaces"]
    created: str = cloud_map.create_service(Name="gateway", NamespaceId=namespace["Id"])["Service"]["Id"]
    return created


def register(cloud_map: Any, service: str, host: str) -> None:
    cloud_map.register_instance(ServiceId=service, InstanceId=host, Attributes={"AWS_INSTANCE_IPV4": host})


def test_tasks_are_counted_as_they_come_and_go(cloud_map: Any, service: str) -> None:
    replicas = Replicas(cloud_map, namespace="small.internal", service="gateway", at_first=2)
    assert replicas.count == 2
    replicas.refresh()
    assert replicas.count == 1  # this one, which is not registered yet
    for host in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        register(cloud_map, service, host)
    replicas.refresh()
    assert replicas.count == 3
    cloud_map.deregister_instance(ServiceId=service, InstanceId="10.0.0.1")
    replicas.refresh()
    assert replicas.count == 2


def test_a_failure_keeps_the_count_and_is_logged(
    cloud_map: Any, service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://cloud-map")

    replicas = Replicas(cloud_map, namespace="small.internal", service="gateway", at_first=4)
    monkeypatch.setattr(cloud_map, "discover_instances", fail)
    replicas.refresh()
    assert replicas.count == 4
    assert json.loads(capsys.readouterr().out)["event"] == "replicas_unknown"


async def test_two_tasks_let_through_what_one_alone_would(start: Start) -> None:
    limited = tenants(requests_per_minute=24)  # four at once, by the size of the bucket
    tasks: list[Setup] = [await start("cs3", tenants=limited, replicas=lambda: 2) for _ in range(2)]
    answers = [await status(task) for _ in range(3) for task in tasks]
    assert [code for code, *_ in answers] == [200, 200, 200, 200, 429, 429]
    assert {after for code, _, after in answers if code == 429} == {"5"}  # at half the rate


async def test_a_task_that_comes_takes_its_part_at_once_and_gives_it_back(start: Start) -> None:
    count = 1
    setup: Setup = await start("cs3", tenants=tenants(concurrency=2), replicas=lambda: count)
    gate = setup.prefill.hold(CHAT_COMPLETIONS)
    asked = [asyncio.create_task(status(setup)) for _ in range(2)]
    await until(setup, running=2, waiting=0)
    count = 2
    asked.append(asyncio.create_task(status(setup)))
    await until(setup, running=2, waiting=1)
    gate.set()
    assert {code for code, *_ in await asyncio.gather(*asked)} == {200}
