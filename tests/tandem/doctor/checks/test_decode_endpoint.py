"""An endpoint that does not answer, is not trusted, or lacks the model is found, by real TLS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runtime.handoff import settings
from tandem.doctor.result import Result, Verdict
from tandem.rehearsal.machine.certificates import Certificate
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, client, judge, outputs
from tests.tandem.doctor.servers import Reply, serving

KEY = "tell-nobody"
SERVICE = "com.amazonaws.vpce.us-east-2.vpce-svc-0123456789abcdef0"


def endpoint(body: str, status: int = 200) -> Callable[[str, Mapping[str, str]], Reply]:
    """Return an endpoint that gives ``body`` to who has the key."""

    def reply(path: str, headers: Mapping[str, str]) -> Reply:
        if headers.get("Authorization") != f"Bearer {KEY}":
            return 401, {}, ""
        return (status, {}, body) if path == "/v1/models" else (404, {}, "")

    return reply


def models(*names: str) -> str:
    return json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def judged(address: str, key: str = KEY, provider: str = "cs3", **changes: object) -> Result:
    """Judge an endpoint whose key is in the deployed secret."""
    secret = json.dumps({"api_key": key})
    arn = client("secretsmanager").create_secret(Name="keys", SecretString=secret)["ARN"]
    clients = {"cloudformation": outputs((settings.DECODE_SECRET_OUTPUT, arn))}
    wanted = deployment(provider, decode__endpoint=f"https://{address}", **changes)
    return judge("decode-endpoint", wanted, **clients)


@pytest.mark.parametrize(("provider", "model"), [("cs3", "example/model"), ("openai", "theirs")])
def test_an_endpoint_that_lists_the_model_passes(trusted: Certificate, provider: str, model: str) -> None:
    with serving(endpoint(models("other", model)), trusted) as address:
        result = judged(address, provider=provider)
    assert (result.verdict, result.found) == (Verdict.PASS, f"lists {model} over verified TLS")


def test_a_model_that_is_not_listed_fails(trusted: Certificate) -> None:
    with serving(endpoint(models("b", "a")), trusted) as address:
        result = judged(address)
    assert (result.verdict, result.found) == (Verdict.FAIL, "lists a, b, not example/model")


@pytest.mark.parametrize(
    ("body", "status", "found"),
    [
        ("<html>", 200, "status 200 without a list of models"),
        ('{"data": 1}', 200, "status 200 without a list of models"),
        (models(), 200, "lists no model, not example/model"),
        ("", 302, "status 302 without a list of models"),
    ],
)
def test_an_answer_that_is_no_list_fails(trusted: Certificate, body: str, status: int, found: str) -> None:
    with serving(endpoint(body, status), trusted) as address:
        result = judged(address)
    assert (result.verdict, result.found) == (Verdict.FAIL, found)


def test_a_redirect_is_not_followed_with_the_key(trusted: Certificate) -> None:
    asked = []

    def elsewhere(path: str, _: Mapping[str, str]) -> Reply:
        asked.append(path)
        return 200, {}, models("example/model")

    with serving(elsewhere, trusted) as other:
        location = {"Location": f"https://{other}/v1/models"}
        with serving(lambda *_: (302, location, ""), trusted) as address:
            result = judged(address)
    assert (result.verdict, asked) == (Verdict.FAIL, [])


def test_a_refused_key_fails_and_is_not_shown(trusted: Certificate) -> None:
    with serving(endpoint(models("example/model")), trusted) as address:
        result = judged(address, key="wrong-key")
    assert (result.verdict, result.found) == (Verdict.FAIL, "the endpoint refuses the key with 401")
    assert "wrong-key" not in str(result)


def test_a_key_that_http_cannot_carry_is_not_shown(trusted: Certificate) -> None:
    with serving(endpoint(models("example/model")), trusted) as address:
        result = judged(address, key="wrong\nkey")
    assert result.verdict is Verdict.FAIL
    assert "wrong" not in str(result)


def test_a_certificate_that_nobody_signed_fails(certificate: Certificate) -> None:
    with serving(endpoint(models("example/model")), certificate) as address:
        result = judged(address)
    assert result.verdict is Verdict.FAIL
    assert " is not to be trusted: SSLCertVerificationError" in result.found


def test_a_certificate_for_another_name_fails(trusted: Certificate) -> None:
    with serving(endpoint(models("example/model")), trusted) as address:
        result = judged(address.replace("localhost", "127.0.0.1"))
    assert result.verdict is Verdict.FAIL
    assert " is not to be trusted: SSLCertVerificationError" in result.found


def test_an_endpoint_that_is_not_there_fails() -> None:
    result = judged("localhost:1")
    assert result.verdict is Verdict.FAIL
    assert result.found.startswith("https://localhost:1 is not reachable from here: ")


def test_an_endpoint_behind_private_link_is_out_of_reach() -> None:
    result = judged("localhost:1", decode__endpoint_service=SERVICE)
    assert result.verdict is Verdict.UNKNOWN
    assert result.change == "ask inside the VPC; its probe reports DecodeEndpointUp"


@pytest.mark.parametrize("filled", ["absent", "to-be-replaced", "denied"])
def test_without_the_key_only_tls_is_known(trusted: Certificate, filled: str) -> None:
    clients: dict[str, Any] = {}
    if filled == "denied":
        clients["cloudformation"] = answering("cloudformation", ("describe_stacks", "AccessDenied"))
    with serving(endpoint(models("example/model")), trusted) as address:
        wanted = deployment(decode__endpoint=f"https://{address}")
        result = (
            judged(address, key=filled) if filled == "to-be-replaced" else judge("decode-endpoint", wanted, **clients)
        )
    assert result.verdict is Verdict.UNKNOWN
    assert result.found == f"https://{address} answers 401 over verified TLS; its models need the key"


def test_own_workers_have_no_endpoint() -> None:
    assert judge("decode-endpoint", deployment("vllm")).verdict is Verdict.PASS
