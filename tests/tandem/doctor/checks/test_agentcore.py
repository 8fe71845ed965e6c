"""A region without AgentCore is told apart from a network that fails."""

from __future__ import annotations

import socket

import boto3
import pytest

from tandem.doctor.result import Verdict
from tandem.spec.deployment import Deployment
from tests.documents import CERTIFICATE, deployment
from tests.tandem.doctor.accounts import REGION, answering, judge


def registering() -> Deployment:
    gateway = {"certificate_arn": CERTIFICATE, "domain": "llm.example.com"}
    return deployment(gateway=gateway, registration={"registrar": "agentcore-gateway"})


def test_a_region_that_answers_passes() -> None:
    result = judge("agentcore", registering())
    assert (result.verdict, result.found) == (Verdict.PASS, "AgentCore answers in us-east-2")


@pytest.mark.parametrize(("reason", "verdict"), [(socket.EAI_NONAME, "FAIL"), (socket.EAI_AGAIN, "UNKNOWN")])
def test_only_a_name_that_does_not_exist_fails(reason: int, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(*_: object) -> None:
        raise socket.gaierror(reason, "told by the test")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    elsewhere = boto3.client("bedrock-agentcore-control", region_name=REGION, endpoint_url="https://agentcore.test")
    result = judge("agentcore", registering(), bedrock_agentcore_control=elsewhere)
    assert result.verdict == verdict


def test_a_deployment_that_registers_nowhere_asks_nothing() -> None:
    silent = answering("bedrock-agentcore-control")
    assert judge("agentcore", deployment(), bedrock_agentcore_control=silent).verdict is Verdict.PASS
