"""Ask an HTTP server one thing, with its certificate verified and no redirect followed."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException

_TIMEOUT_SECONDS = 4.0
_MAX_ANSWER_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what a server answered; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class UnreachableError(Exception):
    """Tell why there is no answer; never holds a header that was sent."""


class UntrustedError(UnreachableError):
    """Tell why the server's certificate is not to be trusted."""


def get(url: str, headers: Mapping[str, str]) -> Answer:
    """Return the answer, whatever its status; raise ``UnreachableError`` or ``UntrustedError`` where there is none."""
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - callers form http(s) URLs
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
            return _answer(answer.status, answer.headers, answer.read(_MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.headers, error.read(_MAX_ANSWER_BYTES))
    except (OSError, HTTPException) as error:  # no route, no name, no trust in the certificate, too slow, no HTTP
        cause = getattr(error, "reason", error)
        untrusted = isinstance(cause, ssl.SSLCertVerificationError)
        raise (UntrustedError if untrusted else UnreachableError)(f"{type(cause).__name__}: {cause}") from error
    except ValueError:
        raise UnreachableError("URL or key cannot be sent by HTTP") from None  # the cause would quote the key


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuse redirects: one would take a key to a host that nobody configured."""

    def redirect_request(self, *_: object) -> None:
        return None


def _answer(status: int, headers: Message, body: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)
