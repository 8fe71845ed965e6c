"""No hop that docs/security.md lists is plain; each has a check here, over what is deployed or started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.gateway.peers.workers import Address, Worker
from runtime.handoff import settings
from runtime.handoff.certificate import Certificate
from runtime.prefill import launch
from runtime.prefill.engine import Engine
from tests.documents import CERTIFICATE
from tests.templates import named, only, templates

_DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
_SECURE = {
    "gateway__certificate_arn": CERTIFICATE,
    "gateway__domain": "llm.example.com",
    "registration__registrar": "agentcore-gateway",
}


def _client() -> Any:
    listener = only(templates("cs3", **_SECURE)["gateway"], "AWS::ElasticLoadBalancingV2::Listener")
    return listener["Protocol"]


def _gateway() -> Any:
    group = only(templates("cs3", **_SECURE)["gateway"], "AWS::ElasticLoadBalancingV2::TargetGroup")
    return group["Protocol"]


def _workers() -> str:
    return Worker(Address("10.0.0.1", 8100), "ab", "key").url


def _status() -> str:
    # what is served is held by tests/runtime/gateway/peers/test_readiness.py: plain HTTP is not answered
    return "https" if "--ssl-certfile" in launch.command(["serve", "m"], "10.0.0.1", "pem") else "http"


def _engine() -> str:
    return Engine.of(["serve", "m"], "127.0.0.1", "key", Certificate.issue("127.0.0.1").client()).url


def _endpoint() -> Any:
    [container] = only(templates("cs3", **_SECURE)["gateway"], "AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    return named(container["Environment"])[settings.DECODE_ENDPOINTS]


def _agentcore() -> Any:
    target = only(templates("cs3", **_SECURE)["registration"], "AWS::BedrockAgentCore::GatewayTarget")
    return target["TargetConfiguration"]["Inference"]["Provider"]["Endpoint"]


_SCHEMES: dict[str, Callable[[], Any]] = {
    "client → load balancer": _client,
    "load balancer → gateway": _gateway,
    "gateway → prefill and decode workers": _workers,
    "gateway → status port of a worker": _status,
    "worker's supervisor → its own vLLM": _engine,
    "gateway → decode endpoint": _endpoint,
    "AgentCore → load balancer": _agentcore,
}


def test_every_hop_of_the_document_is_checked() -> None:
    section = _DOCUMENT.read_text().partition("## Hops that carry text")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ") and "→" in line]
    assert rows == list(_SCHEMES)


@pytest.mark.parametrize("hop", _SCHEMES)
def test_no_hop_is_plain(hop: str) -> None:
    assert str(_SCHEMES[hop]()).lower().startswith("https")
