"""A region without what a registrar calls is told apart from a network that fails."""

from __future__ import annotations

import socket
from typing import Any

import boto3
import pytest

from tandem.doctor.result import Result, Verdict
from tandem.spec.deployment import Deployment
from tests.documents import CERTIFICATE, deployment
from tests.tandem.doctor.accounts import DENIED, REGION, answering, judge


def registering() -> Deployment:
    gateway = {"certificate_arn": CERTIFICATE, "domain": "llm.example.com"}
    return deployment(gateway=gateway, registration={"registrar": "agentcore-gateway"})


def test_a_region_that_answers_passes() -> None:
    result = judge("registrar", registering())
    assert (result.verdict, result.found) == (Verdict.PASS, "AgentCore answers in us-east-2")


@pytest.mark.parametrize(("reason", "verdict"), [(socket.EAI_NONAME, "FAIL"), (socket.EAI_AGAIN, "UNKNOWN")])
def test_only_a_name_that_does_not_exist_fails(reason: int, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(*_: object) -> None:
        raise socket.gaierror(reason, "told by the test")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    elsewhere = boto3.client("bedrock-agentcore-control", region_name=REGION, endpoint_url="https://agentcore.test")
    result = judge("registrar", registering(), bedrock_agentcore_control=elsewhere)
    assert result.verdict == verdict


ENDPOINT = "arn:aws:sagemaker:us-east-2:123456789012:endpoint/llama"
MODEL = "arn:aws:sagemaker:us-east-2:aws:hub-content/SageMakerPublicHub/Model/llama"
LISTED: tuple[str, Any] = ("list_marketplace_model_endpoints", {"marketplaceModelEndpoints": []})


def marketplace(*sagemaker: tuple[str, Any]) -> Result:
    registration = {"registrar": "marketplace", "endpoint_arn": ENDPOINT, "model_source": MODEL}
    asked = {"bedrock": answering("bedrock", LISTED), "sagemaker": answering("sagemaker", *sagemaker)}
    return judge("registrar", deployment(registration=registration), **asked)


def endpoint(status: str) -> tuple[str, Any]:
    times = {"CreationTime": 0, "LastModifiedTime": 0}
    return ("describe_endpoint", {"EndpointName": "llama", "EndpointArn": ENDPOINT, "EndpointStatus": status, **times})


@pytest.mark.parametrize(("status", "verdict"), [("InService", "PASS"), ("Creating", "FAIL"), ("Failed", "FAIL")])
def test_a_marketplace_endpoint_must_be_in_service(status: str, verdict: str) -> None:
    result = marketplace(endpoint(status))
    assert result.verdict == verdict
    assert "llama is in service" in result.found or f"llama is {status}" in result.found


def test_a_marketplace_endpoint_that_is_not_there_fails() -> None:
    absent = judge(
        "registrar",
        deployment(registration={"registrar": "marketplace", "endpoint_arn": ENDPOINT, "model_source": MODEL}),
        bedrock=answering("bedrock", LISTED),
    )
    assert (absent.verdict, absent.found) == (Verdict.FAIL, "SageMaker has no endpoint llama")


@pytest.mark.parametrize(("answer", "verdict"), [({"modelImportJobSummaries": []}, "PASS"), (DENIED, "UNKNOWN")])
def test_import_needs_bedrocks_import_jobs(answer: Any, verdict: str) -> None:
    wanted = deployment(model__weights="s3://weights/llama", registration={"registrar": "import"})
    result = judge("registrar", wanted, bedrock=answering("bedrock", ("list_model_import_jobs", answer)))
    assert result.verdict == verdict


def test_a_deployment_that_registers_nowhere_asks_nothing() -> None:
    silent = answering("bedrock-agentcore-control")
    assert judge("registrar", deployment(), bedrock_agentcore_control=silent).verdict is Verdict.PASS
