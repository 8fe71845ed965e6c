"""Cloud Map, as moto serves it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from runtime.gateway.peers.discovery import Discovery, registered
from runtime.gateway.peers.workers import Address, Worker

REGION = "us-east-2"


@pytest.fixture
def cloud_map(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("servicediscovery", region_name=REGION)


@pytest.fixture
def service(cloud_map: Any) -> str:
    cloud_map.create_http_namespace(Name="prefill.local")
    (namespace,) = cloud_map.list_namespaces()["Namespaces"]
    created: str = cloud_map.create_service(Name="workers", NamespaceId=namespace["Id"])["Service"]["Id"]
    return created


def worker(host: str, run: str = "ab") -> Worker:
    return Worker(Address(host, 8100), run, "key")


def always(address: Address) -> Worker | None:
    return worker(address.host)


def register(cloud_map: Any, service: str, host: str, **attributes: str) -> None:
    cloud_map.register_instance(
        ServiceId=service, InstanceId=host, Attributes={"AWS_INSTANCE_IPV4": host, **attributes}
    )


def test_workers_come_and_go(cloud_map: Any, service: str) -> None:
    discovery = Discovery(cloud_map, namespace="prefill.local", service="workers", ready=always)
    discovery.refresh()
    assert not discovery.workers
    register(cloud_map, service, "10.0.0.2", AWS_INSTANCE_PORT="8100")
    register(cloud_map, service, "10.0.0.1", AWS_INSTANCE_PORT="8100")
    discovery.refresh()
    assert list(discovery.workers) == [worker("10.0.0.1"), worker("10.0.0.2")]
    cloud_map.deregister_instance(ServiceId=service, InstanceId="10.0.0.1")
    discovery.refresh()
    assert discovery.workers == (worker("10.0.0.2"),)


def test_only_a_worker_that_says_it_is_ready_is_lent(cloud_map: Any, service: str) -> None:
    ready: set[str] = set()
    discovery = Discovery(
        cloud_map,
        namespace="prefill.local",
        service="workers",
        ready=lambda address: always(address) if address.host in ready else None,
    )
    for host in ("10.0.0.1", "10.0.0.2"):
        register(cloud_map, service, host, AWS_INSTANCE_PORT="8100")
    for expected in ([], ["10.0.0.2"], ["10.0.0.1", "10.0.0.2"], ["10.0.0.1"]):
        ready = set(expected)
        discovery.refresh()
        assert [worker.host for worker in discovery.workers] == expected


def test_a_later_run_takes_the_place_of_the_one_before_at_once_and_one_that_is_gone_is_not_lent(
    cloud_map: Any, service: str
) -> None:
    runs: dict[str, str | None] = {"10.0.0.1": "aa", "10.0.0.2": "bb"}

    def ask(address: Address) -> Worker | None:
        run = runs[address.host]
        return worker(address.host, run) if run else None

    discovery = Discovery(cloud_map, namespace="prefill.local", service="workers", ready=ask)
    for host in runs:
        register(cloud_map, service, host, AWS_INSTANCE_PORT="8100")
    discovery.refresh()
    first, *rest = discovery.workers
    runs["10.0.0.1"] = "cc"
    discovery.renew(first)
    assert list(discovery.workers) == [worker("10.0.0.1", "cc"), *rest]
    runs["10.0.0.1"] = None
    discovery.renew(first)
    assert list(discovery.workers) == rest


def test_what_cloud_map_calls_unhealthy_is_asked_all_the_same(cloud_map: Any, service: str) -> None:
    register(cloud_map, service, "10.0.0.1", AWS_INSTANCE_PORT="8100")
    cloud_map.update_instance_custom_health_status(ServiceId=service, InstanceId="10.0.0.1", Status="UNHEALTHY")
    discovery = Discovery(cloud_map, namespace="prefill.local", service="workers", ready=always)
    discovery.refresh()
    assert discovery.workers == (worker("10.0.0.1"),)


def test_a_failure_keeps_the_workers_last_known_and_is_logged(
    cloud_map: Any, service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register(cloud_map, service, "10.0.0.1", AWS_INSTANCE_PORT="8100")
    discovery = Discovery(cloud_map, namespace="prefill.local", service="workers", ready=always)
    discovery.refresh()

    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://cloud-map")

    monkeypatch.setattr(cloud_map, "discover_instances", fail)
    discovery.refresh()
    assert discovery.workers == (worker("10.0.0.1"),)
    assert "discovery_failed" in capsys.readouterr().out


def test_a_missing_service_is_logged(cloud_map: Any, capsys: pytest.CaptureFixture[str]) -> None:
    discovery = Discovery(cloud_map, namespace="prefill.local", service="workers", ready=always)
    discovery.refresh()
    assert discovery.workers == ()
    assert "NamespaceNotFound" in capsys.readouterr().out


def test_an_instance_without_address_or_port_is_no_worker() -> None:
    assert registered([{"AWS_INSTANCE_CNAME": "x"}, {"AWS_INSTANCE_IPV4": "10.0.0.1"}]) == ()
