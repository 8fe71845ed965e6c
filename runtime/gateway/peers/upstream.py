"""The seam to the HTTP client: what providers ask of it, and what its failures are called."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, Protocol, Self

import msgspec

from runtime.gateway.routing.deadline import NEVER, Deadline
from runtime.gateway.telemetry import tracing
from runtime.handoff import contract, fields
from runtime.handoff.contract import Code, HandoffError

PEERS_TIMING: Final = contract.SERVER_TIMING.lower()
"""By what name ``Response.headers`` has an endpoint's own phases."""
SILENCE_SECONDS: Final = 600.0
"""How long a peer may send nothing: the idle timeout of the load balancer in front, which cuts the client off then."""
STALLED_SECONDS: Final = 60.0
"""How long a stream may stand still that another peer can go on with."""


class UnreachableError(Exception):
    """Tell that a peer could not be connected to, broke the connection or fell silent."""


class NotSentError(UnreachableError):
    """Tell that no connection came about, so the peer has seen nothing of the request."""


class Response(Protocol):
    """A peer's answer whose head has been received; it is to be left, whatever becomes of it."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by names in lower case."""

    async def read(self) -> bytes:
        """Return the whole body; raise ``UnreachableError``."""

    async def take(self) -> bytes:
        """Return what has come of the body since, empty at its end; raise ``UnreachableError`` where it broke off."""

    def leave(self) -> None:
        """Give the answer up: whatever is held for it is freed, and a peer that has not ended it notices."""


class Exchange(Response, Protocol):
    """A request that was sent, and its answer once there is a ``head``; as a context it leaves itself."""

    async def head(self) -> None:
        """Wait until the answer has a status and headers; raise ``UnreachableError``."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Client(Protocol):
    """Send requests to peers."""

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        silence: float = SILENCE_SECONDS,
        pause: float = SILENCE_SECONDS,
        pin: str | None = None,
    ) -> Exchange:
        """Send a request; raise ``NotSentError``.

        The peer may send nothing for ``silence`` seconds, and from the answer's body on for ``pause`` if that is less.
        ``pin`` is the digest of the one certificate that is trusted; without it, authorities and names count. An
        exchange that is left before the answer's end closes its connection: so a peer notices.
        """


def headers(key: str, request_id: str, deadline: Deadline = NEVER) -> dict[str, str]:
    """Return the headers for a peer, built from nothing: of a client's, its trace's id and time limit reach one."""
    told = tracing.passed_on()
    told["Authorization"] = f"Bearer {key}"
    told["Content-Type"] = "application/json"
    told[fields.REQUEST_ID_HEADER] = request_id
    if left := deadline.header(monotonic()):
        told[fields.TIME_LIMIT_HEADER] = left
    return told


class PeerError(Exception):
    """Carry a peer's own OpenAI-shaped error, which is passed on to the client as it is."""

    def __init__(self, *, status: int, body: bytes, code: object, message: str, retry_after: str | None) -> None:
        super().__init__(f"a peer answered {status}")
        self.status = status
        self.body = body
        self.code = code
        self.message = message
        self.retry_after = retry_after


async def refusal(response: Response, *, peer: str, failed: Code) -> PeerError | HandoffError:
    """Return the error for an answer that is none, of code ``failed`` where it is not for the client to see.

    Passed on are the contract's own codes, and what an OpenAI-compatible peer blames on the request (4xx). A peer that
    refuses the gateway's key is neither: the client's key is not at fault.
    """
    error = _openai_error(body := await response.read())
    code = error.get("code")
    ours = code in _CODES and code != Code.UNAUTHORIZED
    blames_request = bool(error) and 400 <= response.status < 500 and response.status not in (401, 403)
    if ours or blames_request:
        retry_after = response.headers.get("retry-after")
        message = error["message"]
        return PeerError(status=response.status, body=body, code=code, message=message, retry_after=retry_after)
    said = f": {error['message']:.200}" if error else ""
    return HandoffError(failed, f"the {peer} answered with status {response.status}{said}")


_CODES: Final = tuple(code.value for code in Code)


def _openai_error(body: bytes) -> dict[str, Any]:
    """Return the error in a body of OpenAI's shape, empty where there is none."""
    try:
        error = msgspec.json.decode(body)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return error if isinstance(error, dict) and isinstance(error.get("message"), str) else {}
