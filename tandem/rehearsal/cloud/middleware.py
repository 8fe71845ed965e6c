"""Stand before moto's server: refuse what a role may not do, and take custom resources' responses."""

from __future__ import annotations

import io
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from typing import Any
from xml.sax.saxutils import escape

from tandem.rehearsal.cloud import requests
from tandem.rehearsal.cloud.permissions import allowed, role_of
from tandem.rehearsal.cloud.resource_arns import resource_of

log = logging.getLogger("tandem.rehearsal.cloud")

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

_RESPONSES = "/embedded-cloud/responses/"
_OWN_ROLES = "cdk-"  # bootstrap's deployment roles, which act for whoever deploys


class Mailbox:
    """Keep what custom resources' functions PUT to their ResponseURL."""

    def __init__(self) -> None:
        self._lock, self._open = threading.Lock(), {}  # type: tuple[threading.Lock, dict[str, bytes | None]]

    def open(self, endpoint: str) -> str:
        """Return a new ResponseURL."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._open[key] = None
        return f"{endpoint}{_RESPONSES}{key}"

    def put(self, path: str, body: bytes) -> bool:
        """Keep the body sent to a ResponseURL's path; False if nobody waits for it."""
        key = path.removeprefix(_RESPONSES)
        with self._lock:
            if key not in self._open:
                return False
            self._open[key] = body
            return True

    def close(self, url: str) -> bytes | None:
        """Return what was sent to ``url``, None if nothing was, and forget it."""
        with self._lock:
            return self._open.pop(url.rpartition(_RESPONSES)[2], None)


class Gate:
    """Pass requests on to moto, but for those that a role may not make and those to the mailbox."""

    def __init__(self, app: WsgiApp, account: str, mailbox: Mailbox) -> None:
        self._app, self._account, self._mailbox = app, account, mailbox

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        path, body = environ.get("PATH_INFO", ""), _body(environ)
        if path.startswith(_RESPONSES):
            found = self._mailbox.put(path, body)
            start_response("200 OK" if found else "404 Not Found", [("Content-Length", "0")])
            return [b""]
        refusal = self._refusal(environ, body)
        if refusal is not None:
            protocol, message = refusal
            log.warning("%s", message)
            start_response("403 Forbidden", _headers(protocol, _DENIED))
            return [_error(protocol, _DENIED, message)]
        try:
            return self._app(environ, start_response)
        except Exception as error:  # moto's own faults: as HTTP 500, clients would repeat them for half a minute
            return _fault(environ, body, start_response, error)

    def _refusal(self, environ: dict[str, Any], body: bytes) -> tuple[str, str] | None:
        """Return the protocol and the message of a refusal; None if the request may pass."""
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        access_key = requests.access_key_of(authorization)
        role = role_of(access_key, self._account) if access_key else None
        if role is None or role.rpartition("/")[2].startswith(_OWN_ROLES):
            return None
        try:
            request = requests.parse(authorization, *_head(environ), body)
            resource = resource_of(request, self._account)
            permitted = request.action == "sts:GetCallerIdentity" or allowed(role, request.action, resource)
        except (ValueError, KeyError) as error:
            return "json", f"the embedded AWS cannot tell whether {role} may make this call: {error}"
        if permitted:
            return None
        thing = f" on resource: {resource}" if resource else ""
        why = "because no identity-based policy allows the action"
        return request.protocol, f"User: {role} is not authorized to perform: {request.action}{thing} {why}"


def _head(environ: dict[str, Any]) -> tuple[str, str, str, str]:
    keys = ("REQUEST_METHOD", "QUERY_STRING", "HTTP_X_AMZ_TARGET")
    method, query, target = (str(environ.get(key, "")) for key in keys)
    # as it was sent: an ARN in a path has its slashes escaped, which PATH_INFO no longer shows
    return method, str(environ["RAW_URI"]).partition("?")[0], query, target


def _body(environ: dict[str, Any]) -> bytes:
    """Read the body, and leave it to be read again."""
    if environ.get("wsgi.input_terminated"):  # chunked
        body: bytes = environ["wsgi.input"].read()
    else:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


_DENIED = "AccessDeniedException"


def _fault(environ: dict[str, Any], body: bytes, start_response: Any, error: Exception) -> Iterable[bytes]:
    """Answer what moto cannot do, once and without a traceback; what it does wrong, with one in the log."""
    missing = isinstance(error, NotImplementedError)
    log.log(logging.WARNING if missing else logging.ERROR, "%s", error, exc_info=None if missing else error)
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    try:
        protocol = requests.parse(authorization, *_head(environ), body).protocol
    except ValueError:
        protocol = "query"
    code = "NotImplemented" if missing else "InternalFailure"
    start_response("400 Bad Request", _headers(protocol, code))
    return [_error(protocol, code, f"the embedded AWS: {type(error).__name__}: {error}")]


def _headers(protocol: str, code: str) -> list[tuple[str, str]]:
    kinds = {"json": "application/x-amz-json-1.1", "rest-json": "application/json", "cbor": "application/cbor"}
    extra = {"rest-json": [("x-amzn-ErrorType", code)], "cbor": [("smithy-protocol", "rpc-v2-cbor")]}
    return [("Content-Type", kinds.get(protocol, "text/xml")), *extra.get(protocol, [])]


def _error(protocol: str, code: str, message: str) -> bytes:
    """Return an error as the service's protocol spells it."""
    xml = f"<Error><Code>{code.removesuffix('Exception')}</Code><Message>{escape(message)}</Message></Error>"
    match protocol:
        case "json" | "rest-json":
            return json.dumps({"__type": code, "message": message, "Message": message}).encode()
        case "cbor":
            return b"\xa2" + b"".join(_cbor_text(text) for text in ("__type", code, "message", message))
        case "ec2":
            return f"<Response><Errors>{xml}</Errors></Response>".encode()
        case "rest-xml":
            return xml.encode()
        case _:
            return f"<ErrorResponse>{xml}</ErrorResponse>".encode()


def _cbor_text(text: str) -> bytes:
    """Return a CBOR text string of up to 64 KiB."""
    raw = text.encode()
    return b"\x79" + len(raw).to_bytes(2, "big") + raw
