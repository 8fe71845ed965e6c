"""Check that a request was signed with credentials of ours (Signature Version 4)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from runtime.handoff.contract import Code, HandoffError

ALGORITHM: Final = "AWS4-HMAC-SHA256"
SERVICE: Final = "bedrock"
"""The name that Bedrock Runtime's clients sign for."""
_SKEW: Final = timedelta(minutes=5)
"""As AWS allows."""
_CREDENTIAL: Final = re.compile(r"([\w-]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")
_MUST_BE_SIGNED: Final = frozenset({"host", "x-amz-date"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """Hold a request as it came: ``target`` is path and query, undecoded; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def verify(request: Signed, *, region: str, secret_of: Callable[[str], str | None], now: datetime) -> str:
    """Return the access key id that signed ``request``; raise ``HandoffError`` (``unauthorized``).

    ``secret_of`` returns the secret key of an access key id, or None. Temporary credentials are refused: nothing here
    could tell whether their token is good.
    """
    key, date, names, signature = _authorization(request.headers.get("authorization", ""), region)
    signed_at = request.headers.get("x-amz-date", "")
    _check_time(signed_at, date, now)
    if missing := _MUST_BE_SIGNED - set(names):
        raise _refused(f"{', '.join(sorted(missing))} must be among the signed headers")
    if "x-amz-security-token" in request.headers:
        raise _refused("temporary credentials are not accepted here: sign with the access key of a tenant")
    claimed = request.headers.get("x-amz-content-sha256")
    if claimed is not None and not hmac.compare_digest(claimed.encode(), sha256(request.body).hexdigest().encode()):
        raise _refused("x-amz-content-sha256 is not the digest of the body")
    # an unknown key costs the same work as a wrong signature
    secret = secret_of(key)
    expected = _signature(request, names, signed_at, region, Credentials(key, secret or "unknown"))
    if secret is None or not hmac.compare_digest(expected.encode(), signature.encode()):
        raise _refused("the signature does not match, or its access key is unknown")
    return key


def _authorization(value: str, region: str) -> tuple[str, str, list[str], str]:
    scheme, _, rest = value.partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    scope = _CREDENTIAL.fullmatch(parts.get("Credential", ""))
    names, signature = parts.get("SignedHeaders", ""), parts.get("Signature", "")
    if scheme != ALGORITHM or scope is None or not names or not signature:
        raise _refused(f"Authorization is no {ALGORITHM} signature")
    key, date, signed_region, service = scope.groups()
    if (signed_region, service) != (region, SERVICE):
        raise _refused(f"the signature is for {service} in {signed_region}: {SERVICE} in {region} is needed")
    return key, date, names.split(";"), signature


def _check_time(signed_at: str, date: str, now: datetime) -> None:
    try:
        moment = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise _refused(f"x-amz-date is {signed_at!r:.40}: a time such as 20261127T120000Z is needed") from error
    if not signed_at.startswith(date) or abs(now - moment) > _SKEW:
        raise _refused(f"the request was signed at {signed_at}, more than {_SKEW} from now: set the clock")


def _signature(request: Signed, names: list[str], signed_at: str, region: str, credentials: Credentials) -> str:
    path, _, query = request.target.partition("?")
    if query:
        raise _refused("a query is not accepted: sign by headers")
    headers = {name: request.headers.get(name, "") for name in names}
    # the host that was signed is among the headers
    rebuilt = AWSRequest(method=request.method, url=f"https://gateway{path}", headers=headers, data=request.body)
    rebuilt.context["timestamp"] = signed_at
    auth = SigV4Auth(credentials, SERVICE, region)
    text = auth.string_to_sign(rebuilt, auth.canonical_request(rebuilt))
    signature: str = auth.signature(text, rebuilt)
    return signature


def _refused(message: str) -> HandoffError:
    return HandoffError(Code.UNAUTHORIZED, message)
