"""The probe against a real HTTPS endpoint and moto's Secrets Manager."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto import mock_aws

from runtime.functions import decode_probe
from runtime.functions.decode_probe import handler
from runtime.handoff import settings
from runtime.handoff.settings import SettingError
from tests.patience import HUNG_SECONDS

KEY = "decode-key-1234"
MODEL = "org/model"
LISTED = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]})


class Endpoint(BaseHTTPRequestHandler):
    """Answer /v1/models as the test says."""

    answer = (200, LISTED, {"Content-Type": "application/json"})

    def do_GET(self) -> None:
        """List models to those who know the key."""
        status, body, headers = self.answer
        if self.headers["Authorization"] != f"Bearer {KEY}" or self.path != "/v1/models":
            status, body = 401, ""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a self-signed certificate of 127.0.0.1 with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "endpoint.pem"
    path.write_bytes(secret + built.public_bytes(pem))
    return path


@pytest.fixture
def endpoint(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Endpoint]]:
    """Serve HTTPS that the function trusts, and set its environment."""
    kind = type("Changed", (Endpoint,), {})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(decode_probe, "_TIMEOUT_SECONDS", HUNG_SECONDS)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv(settings.DECODE_ENDPOINTS, f"https://127.0.0.1:{server.server_port}")
        monkeypatch.setenv(settings.DECODE_MODEL, MODEL)
        monkeypatch.setenv(settings.DEPLOYMENT, "small")
        yield kind
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    with mock_aws():
        secrets = boto3.client("secretsmanager")
        value = json.dumps({settings.API_KEY_FIELD: KEY})
        arn = secrets.create_secret(Name="decode", SecretString=value)["ARN"]
        monkeypatch.setenv(settings.DECODE_SECRET_ARN, arn)
        yield secrets


def ask(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the result and the metric line; neither may hold a key."""
    result = handler({}, None)
    written = capsys.readouterr()
    assert "key-1234" not in written.out + written.err + json.dumps(result)
    return result, json.loads(written.out)


@pytest.mark.usefixtures("endpoint")
def test_an_endpoint_that_lists_the_model_is_up(capsys: pytest.CaptureFixture[str]) -> None:
    result, line = ask(capsys)
    assert (result["up"], result["reason"]) == (True, "ok")
    assert result["latency_ms"] > 0
    assert line["_aws"]["CloudWatchMetrics"] == [
        {
            "Namespace": "Tandem",
            "Dimensions": [["Deployment"]],
            "Metrics": [{"Name": "DecodeEndpointUp", "Unit": "None"}],
        }
    ]
    assert (line["DecodeEndpointUp"], line["Deployment"], line["model"]) == (1, "small", MODEL)
    assert isinstance(line["_aws"]["Timestamp"], int)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, json.dumps({"data": [{"id": "org/other"}]}), {}), "not listed, these are: org/other"),
        ((200, "<html>", {}), "no list of models"),
        ((200, '{"data": 3}', {}), "no list of models"),
        ((503, "", {}), "status 503"),
        ((302, "", {"Location": "https://127.0.0.1:1/"}), "status 302"),
    ],
)
def test_any_other_answer_is_down(
    endpoint: type[Endpoint],
    capsys: pytest.CaptureFixture[str],
    answer: tuple[int, str, dict[str, str]],
    reason: str,
) -> None:
    endpoint.answer = answer
    result, line = ask(capsys)
    assert result["up"] is False
    assert reason in result["reason"]
    assert line["DecodeEndpointUp"] == 0


@pytest.mark.usefixtures("endpoint")
def test_a_wrong_key_is_down(secret: Any, capsys: pytest.CaptureFixture[str]) -> None:
    secret.put_secret_value(SecretId="decode", SecretString=json.dumps({"api_key": "wrong"}))
    assert ask(capsys)[0]["reason"].endswith(": status 401")


@pytest.mark.usefixtures("endpoint")
def test_a_key_that_no_header_can_hold_is_down_and_not_shown(secret: Any, capsys: pytest.CaptureFixture[str]) -> None:
    secret.put_secret_value(SecretId="decode", SecretString=json.dumps({"api_key": "decode-key-1234\n"}))
    assert ask(capsys)[0]["up"] is False


@pytest.mark.usefixtures("endpoint")
def test_a_certificate_that_is_not_trusted_is_down(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "none.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert "CERTIFICATE_VERIFY_FAILED" in ask(capsys)[0]["reason"]


@pytest.mark.usefixtures("endpoint")
def test_nobody_there_is_down(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(settings.DECODE_ENDPOINTS, "https://127.0.0.1:1")
    assert "refused" in ask(capsys)[0]["reason"]


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize(
    "name", [settings.DEPLOYMENT, settings.DECODE_ENDPOINTS, settings.DECODE_MODEL, settings.DECODE_SECRET_ARN]
)
def test_a_missing_variable_raises(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(SettingError, match=name):
        handler({}, None)


@pytest.mark.usefixtures("endpoint")
@pytest.mark.parametrize("value", ["decode-key-1234", "{}", "[]", '{"api_key": ""}'])
def test_a_secret_without_the_field_raises_and_is_not_shown(value: str, secret: Any) -> None:
    secret.put_secret_value(SecretId="decode", SecretString=value)
    with pytest.raises(SettingError, match="has no field 'api_key'") as caught:
        handler({}, None)
    assert "key-1234" not in str(caught.value)
    assert caught.value.__suppress_context__
