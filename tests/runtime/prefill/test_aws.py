"""Signatures equal botocore's, and credentials come from a real agent."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from runtime.prefill import aws
from runtime.prefill.aws import Credentials, CredentialsError

KEYS = Credentials(access_key="AKID", secret_key="secret", token="token/+=")
ANSWERS = {
    "/whole": '{"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "token/+=", "Expiration": "x"}',
    "/part": '{"AccessKeyId": "AKID"}',
    "/list": "[]",
    "/text": "no",
}


@pytest.mark.parametrize("path", ["/bucket", "/bucket/llama 3/model+1 (ä).safetensors", "/b/a~b_c-d.e"])
@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("PUT", b"\x00content"), ("POST", b""), ("DELETE", b"")])
@pytest.mark.parametrize(
    "query", [{}, {"uploads": ""}, {"list-type": "2", "prefix": "a b/ü", "continuation-token": "1/+="}]
)
def test_a_signature_is_botocores(
    method: str, body: bytes, path: str, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    ours = aws.signed(
        method,
        f"https://s3.us-east-2.amazonaws.com{path}",
        query,
        body,
        service="s3",
        region="us-east-2",
        keys=KEYS,
        now=now,
    )
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: now.replace(tzinfo=None))
    theirs = AWSRequest(method, ours.full_url, {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}, body)
    S3SigV4Auth(BotoCredentials("AKID", "secret", "token/+="), "s3", "us-east-2").add_auth(theirs)
    assert ours.get_header("Authorization") == theirs.headers["Authorization"]
    assert ours.data == (body if body or method == "POST" else None), "nothing, or a length of 0"


def test_the_signature_of_a_call_is_botocores(monkeypatch: pytest.MonkeyPatch) -> None:
    now, url, body = (
        datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC),
        "https://secretsmanager.us-east-2.amazonaws.com",
        b"{}",
    )
    target, place = "secretsmanager.GetSecretValue", ("secretsmanager", "us-east-2")
    ours = aws.signed_call(url, body, target=target, service=place[0], region=place[1], keys=KEYS, now=now)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: now.replace(tzinfo=None))
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
    theirs = AWSRequest("POST", ours.full_url, headers=headers, data=body)
    SigV4Auth(BotoCredentials("AKID", "secret", "token/+="), *place).add_auth(theirs)
    assert ours.get_header("Authorization") == theirs.headers["Authorization"]


class _Agent(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = ANSWERS.get(self.path, "")
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def agent() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Agent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_credentials_are_the_agents(agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert aws.credentials({"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent}/whole"}) == KEYS
    monkeypatch.setattr(aws, "_AGENT", agent)
    assert aws.credentials({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/whole"}) == KEYS
    assert "secret'" not in repr(KEYS)


@pytest.mark.parametrize("path", ["/part", "/list", "/text", "/absent"])
def test_an_agent_that_gives_none_is_named(agent: str, path: str) -> None:
    with pytest.raises(CredentialsError, match=f"no credentials from {agent}{path}"):
        aws.credentials({"AWS_CONTAINER_CREDENTIALS_FULL_URI": agent + path})


def test_without_a_task_role_it_says_so() -> None:
    with pytest.raises(CredentialsError, match="the task definition needs a task role"):
        aws.credentials({})
