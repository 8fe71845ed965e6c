"""Check that every request that was traced arrived at the collector as one trace, its legs within it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from tandem.rehearsal.checks.published import printed_object
from tandem.rehearsal.errors import RehearsalError

_LEGS: Final = {"reserve", "prefill", "decode"}


class TraceError(RehearsalError):
    """Name the request whose trace is not whole."""


def require_traces(lines: Iterable[str]) -> int:
    """Return how many requests were traced; raise ``TraceError`` where a span is missing or has another parent.

    ``lines`` are those of the gateway, which names the trace of each request, and of the collector's stand-in.
    """
    spans: dict[str, list[dict[str, Any]]] = defaultdict(list)
    traced: list[dict[str, Any]] = []
    for document in map(printed_object, lines):
        if document.get("event") == "span":
            spans[document["trace"]].append(document)
        elif document.get("event") == "request" and document.get("trace_id"):
            traced.append(document)
    for request in traced:
        _require_whole(request, spans[request["trace_id"]])
    return len(traced)


def _require_whole(request: dict[str, Any], spans: list[dict[str, Any]]) -> None:
    wanted = _LEGS & {"decode", *request["phases_ms"]}
    roots = [span for span in spans if span["name"] == "chat"]
    legs = {span["name"] for span in spans for root in roots if _within(span, root)}
    if len(roots) != 1 or legs != wanted:
        raise TraceError(
            f"request {request['request_id']}: the collector got {len(roots)} spans of it and, within, the legs "
            f"{', '.join(sorted(legs)) or 'none'}; one and {', '.join(sorted(wanted))} are needed"
        )


def _within(span: dict[str, Any], root: dict[str, Any]) -> bool:
    times: bool = root["began"] <= span["began"] <= span["ended"] <= root["ended"]
    return times and span["parent"] == root["span"]
