"""Tell from an AWS request, as the server receives it, which operation it is and on which resource."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session
from botocore.exceptions import UnknownServiceError
from botocore.model import ServiceModel

_CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")

# the name in a signature -> botocore's names for it, where they differ
_SERVICES = {
    "monitoring": ("cloudwatch",),
    "bedrock": ("bedrock-runtime", "bedrock"),
    "bedrock-agentcore": ("bedrock-agentcore-control", "bedrock-agentcore"),
    "elasticloadbalancing": ("elbv2",),
    "states": ("stepfunctions",),
}
_PREFIXES = {"monitoring": "cloudwatch"}  # the name in a signature -> that in policies, where they differ

# S3 and Lambda name some permissions otherwise than the operation
_ACTIONS = {
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:CopyObject": "s3:PutObject",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "lambda:Invoke": "lambda:InvokeFunction",
    "bedrock:Converse": "bedrock:InvokeModel",
    "bedrock:ConverseStream": "bedrock:InvokeModelWithResponseStream",
}


@dataclass(frozen=True)
class AwsRequest:
    """Describe a signed request: its ``access_key``, IAM ``action``, evident ``resource`` and wire ``protocol``."""

    access_key: str
    region: str
    action: str
    protocol: str
    parameters: Mapping[str, Any]


def access_key_of(authorization: str) -> str | None:
    """Return the access key in an Authorization header; None if it has none."""
    match = _CREDENTIAL.search(authorization)
    return match.group(1) if match else None


def parse(authorization: str, method: str, path: str, query: str, target: str, body: bytes) -> AwsRequest:
    """Return what a request asks for; raise ``ValueError`` if no operation of the service matches it."""
    match = _CREDENTIAL.search(authorization)
    if match is None:
        raise ValueError(f"the request's signature is not AWS4: {authorization[:40]!r}")
    access_key, region, signed = match.groups()
    operation, protocol, parameters = _operation(signed, method, path, query, target, body)
    action = f"{_PREFIXES.get(signed, signed)}:{operation}"
    return AwsRequest(access_key, region, _ACTIONS.get(action, action), protocol, parameters)


def _operation(
    signed: str, method: str, path: str, query: str, target: str, body: bytes
) -> tuple[str, str, dict[str, Any]]:
    if target:
        return target.rpartition(".")[2], "json", json.loads(body or b"{}")
    if "/operation/" in path:
        return path.rpartition("/")[2], "cbor", {}
    form = {key: values[0] for key, values in parse_qs(body.decode(errors="replace") or query).items()}
    if "Action" in form:
        return form["Action"], "ec2" if signed == "ec2" else "query", form
    for service in _SERVICES.get(signed, (signed,)):
        found = _rest(service, method, path, query)
        if found:
            return found
    raise ValueError(f"no operation of {signed} is {method} {path}")


def _rest(service: str, method: str, path: str, query: str) -> tuple[str, str, dict[str, Any]] | None:
    given = parse_qs(query, keep_blank_values=True)
    best: tuple[int, str, dict[str, Any]] | None = None
    for name, verb, pattern, keys in _routes(service):
        match = pattern.fullmatch(path) if verb == method and keys <= given.keys() else None
        rank = 1000 * len(keys) - len(pattern.groupindex)
        if match and (best is None or rank > best[0]):
            best = rank, name, {key: unquote(value) for key, value in match.groupdict().items()}
    return best and (best[1], _model(service).protocol, best[2])


@lru_cache
def _routes(service: str) -> list[tuple[str, str, re.Pattern[str], frozenset[str]]]:
    routes = []
    for name in _model(service).operation_names:
        http = _model(service).operation_model(name).http
        uri, _, query = http.get("requestUri", "/").partition("?")
        keys = frozenset(part.partition("=")[0] for part in query.split("&") if part) - {"x-id"}
        routes.append((name, http.get("method", "POST"), _path_pattern(uri), keys))
    return routes


def _path_pattern(uri: str) -> re.Pattern[str]:
    parts = re.split(r"\{([^}]+)\}", uri)
    text = re.escape(parts[0])
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        label = re.sub(r"\W", "_", name.rstrip("+"))
        text += f"(?P<{label}>{'.+' if name.endswith('+') else '[^/]+'})" + re.escape(literal)
    return re.compile(text + "/?")


@lru_cache
def _model(service: str) -> ServiceModel:
    try:
        return botocore.session.get_session().get_service_model(service)
    except UnknownServiceError as error:
        raise ValueError(f"unknown service {service} in a request's signature") from error
