"""Signatures made by botocore's own signer, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from runtime.gateway.api.bedrock.signature import Signed, verify
from runtime.handoff.contract import Code, HandoffError

KEY, SECRET, REGION = "AKIATENANT", "secret", "us-east-2"
TARGET = "/model/org%2Fmodel%3A1/converse"
BODY = b'{"messages":[]}'


def signed(
    *, key: str = KEY, secret: str = SECRET, token: str | None = None, region: str = REGION, service: str = "bedrock"
) -> Signed:
    """Sign as boto3 does."""
    request = AWSRequest("POST", f"http://gateway.example:8080{TARGET}", {"Content-Type": "application/json"}, BODY)
    request.headers["Host"] = "gateway.example:8080"
    SigV4Auth(Credentials(key, secret, token), service, region).add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Signed(method="POST", target=TARGET, headers=headers, body=BODY)


def check(request: Signed, *, now: datetime | None = None) -> str:
    return verify(request, region=REGION, secret_of={KEY: SECRET}.get, now=now or datetime.now(UTC))


def test_what_botocore_signs_is_accepted() -> None:
    assert check(signed()) == KEY


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (lambda: signed(secret="wrong"), "does not match"),
        (lambda: signed(key="AKIAOTHER"), "does not match, or its access key is unknown"),
        (lambda: signed(region="eu-west-1"), "bedrock in us-east-2 is needed"),
        (lambda: signed(service="s3"), "bedrock in us-east-2 is needed"),
        (lambda: signed(token="t"), "temporary credentials are not accepted"),
        (lambda: replace(signed(), body=b"{}"), "does not match"),
        (lambda: replace(signed(), method="PUT"), "does not match"),
        (lambda: replace(signed(), target="/model/other/converse"), "does not match"),
        (lambda: replace(signed(), target=TARGET + "?a=b"), "a query is not accepted"),
        (lambda: with_headers(**{"content-type": "text/plain"}), "does not match"),
        (lambda: with_headers(authorization="AWS4-HMAC-SHA256 Credential=a/b"), "is no AWS4-HMAC-SHA256 signature"),
        (lambda: with_headers(authorization="AWS4-HMAC-SHA256 " + "=" * 99), "is no AWS4-HMAC-SHA256 signature"),
        (lambda: with_headers(**{"x-amz-date": "yesterday"}), "x-amz-date is 'yesterday'"),
        (lambda: with_headers(**{"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}), "is not the digest of the body"),
        (lambda: unsigned("host"), "host must be among the signed headers"),
        (lambda: unsigned("x-amz-date"), "x-amz-date must be among the signed headers"),
    ],
)
def test_anything_else_is_refused(request_: Callable[[], Signed], message: str) -> None:
    with pytest.raises(HandoffError, match=message) as caught:
        check(request_())
    assert caught.value.code is Code.UNAUTHORIZED


def with_headers(**changes: str) -> Signed:
    request = signed()
    return replace(request, headers={**request.headers, **changes})


def unsigned(name: str) -> Signed:
    request = signed()
    names = request.headers["authorization"]
    return with_headers(authorization=names.replace(f"{name};", "").replace(f";{name}", ""))


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_signature_cannot_be_used_again(minutes: int) -> None:
    with pytest.raises(HandoffError, match="more than 0:05:00 from now"):
        check(signed(), now=datetime.now(UTC) + timedelta(minutes=minutes))
