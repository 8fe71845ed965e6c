"""Serve the inference routes of deployed AgentCore gateways: forward a call as the deployed target says.

A gateway is found by the Host header, as its URL has it. Of AWS_IAM authorization, a signature for the service and the
role's permission are asked for; the signature itself is not verified.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.parse import urlsplit

from moto.bedrockagentcorecontrol.models import bedrockagentcorecontrol_backends
from moto.secretsmanager.models import secretsmanager_backends

from tandem.rehearsal.cloud import requests
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.inference_route import NoRouteError, Route, route
from tandem.rehearsal.cloud.load_balancer import UnreachableError, behind
from tandem.rehearsal.cloud.permissions import allowed, role_of

log = logging.getLogger("tandem.rehearsal.cloud")

_HOST: Final = re.compile(
    r"(?P<gateway>[a-z0-9-]+)\.gateway\.bedrock-agentcore\.(?P<region>[a-z0-9-]+)\.amazonaws\.com"
)
_SIGNED: Final = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[^/]+/bedrock-agentcore/aws4_request")
_TIMEOUT_SECONDS: Final = 300
_CHUNK: Final = 65536

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class InferenceGateways:
    """Answer calls to a gateway's host name; pass everything else on to ``app``."""

    def __init__(self, app: WsgiApp, account: str, api: Api) -> None:
        self._app, self._account, self._api = app, account, api

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        host = _HOST.fullmatch(str(environ.get("HTTP_HOST", "")).partition(":")[0])
        if host is None:
            return self._app(environ, start_response)
        try:
            return self._forward(host["gateway"], host["region"], environ, start_response)
        except NoRouteError as error:
            return _refuse(start_response, error.status, str(error))
        except (UnreachableError, OSError, HTTPException) as error:
            return _refuse(start_response, "502 Bad Gateway", str(error))

    def _forward(self, gateway_id: str, region: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        backend = bedrockagentcorecontrol_backends[self._account][region]
        gateway = backend.gateways.get(gateway_id)
        if gateway is None:
            raise NoRouteError("404 Not Found", f"there is no gateway {gateway_id}")
        self._authorize(gateway, environ)
        body = _json(environ)
        targets = [target for (owner, _), target in backend.gateway_targets.items() if owner == gateway_id]
        way = route(targets, environ["PATH_INFO"], str(body.get("model", "")))
        credential = self._credential(gateway, way, backend)
        connection = self._connection(way)
        try:
            answer = _send(connection, way, {**body, "model": way.model}, credential)
        except BaseException:
            connection.close()
            raise
        passed = (way.target.metadata_configuration or {}).get("allowedResponseHeaders", [])
        headers = [(name, value) for name in ("Content-Type", *passed) if (value := answer.getheader(name))]
        start_response(f"{answer.status} {answer.reason}", headers)
        return _chunks(connection, answer)

    def _authorize(self, gateway: Any, environ: dict[str, Any]) -> None:
        authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
        if gateway.authorizer_type != "AWS_IAM":
            return
        if not _SIGNED.match(authorization):
            raise NoRouteError("403 Forbidden", "AWS_IAM: the call must be signed for bedrock-agentcore (SigV4)")
        role = role_of(requests.access_key_of(authorization) or "", self._account)
        if role and not allowed(role, "bedrock-agentcore:InvokeGateway", gateway.gateway_arn):
            raise NoRouteError("403 Forbidden", f"{role} may not bedrock-agentcore:InvokeGateway {gateway.gateway_arn}")

    def _credential(self, gateway: Any, way: Route, backend: Any) -> dict[str, str]:
        """Return the header that the target's API key goes into, read with the gateway's own role."""
        [configuration] = way.target.credential_provider_configurations
        declared = configuration["credentialProvider"]["apiKeyCredentialProvider"]
        providers = backend.__dict__.get("embedded_api_key_providers", {}).values()
        arn = declared["providerArn"]
        provider = next((one for one in providers if one["credentialProviderArn"] == arn), None)
        if provider is None or declared.get("credentialLocation", "HEADER") != "HEADER":
            raise NoRouteError("500 Internal Server Error", f"{arn} gives no key for a header")
        secret = provider["apiKeySecretArn"]["secretArn"]
        for action, resource in (
            ("bedrock-agentcore:GetWorkloadAccessToken", None),
            ("bedrock-agentcore:GetResourceApiKey", None),
            ("secretsmanager:GetSecretValue", secret),
        ):
            if not allowed(gateway.role_arn, action, resource):
                what = f"{gateway.role_arn} may not {action} {resource or ''}".rstrip()
                raise NoRouteError("403 Forbidden", f"the gateway's role {what}: grant it")
        key = _secret_value(self._account, backend.region_name, secret, provider.get("apiKeySecretJsonKey"))
        prefix = declared.get("credentialPrefix", "")
        return {declared.get("credentialParameterName", "Authorization"): f"{prefix} {key}".strip()}

    def _connection(self, way: Route) -> HTTPConnection:
        private = getattr(way.target, "private_endpoint", None) or {}
        domain = private.get("managedVpcResource", {}).get("routingDomain")
        if domain is None:
            raise UnreachableError(f"{way.url} has no private endpoint, and the embedded AWS calls nobody outside")
        url = urlsplit(way.url)
        task = behind(self._api, domain, str(url.hostname), url.port or 443)
        if task.secure:
            # a load balancer verifies no target's certificate
            unverified = ssl._create_unverified_context()  # noqa: S323 - as just said
            return HTTPSConnection(task.address, task.port, timeout=_TIMEOUT_SECONDS, context=unverified)
        return HTTPConnection(task.address, task.port, timeout=_TIMEOUT_SECONDS)


def _send(connection: HTTPConnection, way: Route, body: dict[str, Any], credential: dict[str, str]) -> HTTPResponse:
    url = urlsplit(way.url)
    headers = {"Host": url.netloc, "Content-Type": "application/json", **credential}
    connection.request("POST", url.path, json.dumps(body).encode(), headers)
    return connection.getresponse()


def _json(environ: dict[str, Any]) -> dict[str, Any]:
    length = None if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
    try:
        body = json.loads(environ["wsgi.input"].read(length))
    except ValueError as error:
        raise NoRouteError("400 Bad Request", f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise NoRouteError("400 Bad Request", f"the body must be a JSON object, got {type(body).__name__}")
    return body


def _secret_value(account: str, region: str, arn: str, key: str | None) -> str:
    text = secretsmanager_backends[account][region].get_secret_value(arn, "", "")["SecretString"]
    return str(json.loads(text)[key]) if key else str(text)


def _chunks(connection: HTTPConnection, answer: HTTPResponse) -> Iterator[bytes]:
    """Yield what comes as it comes: a stream stays a stream.

    The connection ends with the iterator, closed or dropped: where a client has reset its own, werkzeug only drops it.
    """
    with closing(connection):
        while chunk := answer.read1(_CHUNK):
            yield chunk


def _refuse(start_response: Any, status: str, message: str) -> list[bytes]:
    log.warning("inference: %s: %s", status, message)
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps({"message": message}).encode()]
