"""Ask a worker on its status port, and have it prove that the certificate which TLS shows is its own.

No authority vouches for that certificate: the proof does, which is made over its digest.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from typing import Any, Final

from runtime.handoff import worker_status
from runtime.handoff.certificate import digest

_SECONDS: Final = 2.0
_MAX_BYTES: Final = 2**16


class AskError(Exception):
    """Tell why a worker told nothing; never holds a key."""


@dataclass(frozen=True, slots=True)
class Told:
    """Hold an answer: its HTTP status and object, the digest of the certificate shown, whether that is the worker's."""

    status: int
    said: Mapping[str, Any] = field(repr=False)
    digest: str
    proven: bool


def ask(host: str, port: int, keys: Sequence[str]) -> Told:
    """Return what the worker tells one who holds ``keys``; raise ``AskError``."""
    # no proxy is asked, which would answer for a worker that is gone
    connection = HTTPSConnection(host, port, timeout=_SECONDS, context=_unverified())
    try:
        connection.connect()
        shown = digest(connection.sock.getpeercert(binary_form=True) or b"")
        headers = {"Authorization": worker_status.asking(keys, host, shown)}
        connection.request("GET", worker_status.READY, headers=headers)
        answer = connection.getresponse()
        said = json.loads(answer.read(_MAX_BYTES))
    except (OSError, HTTPException) as error:
        raise AskError(f"{type(error).__name__}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise AskError("the answer is not JSON") from error
    finally:
        connection.close()
    if not isinstance(said, dict):
        raise AskError(f"the answer is a JSON {type(said).__name__}, an object is needed")
    proof = said.get(worker_status.PROOF)
    known = worker_status.answered_with(proof, keys, host, shown) if isinstance(proof, str) else None
    return Told(answer.status, said, shown, proven=known is not None)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
