"""Stand in for the OpenTelemetry collector: take OTLP over HTTP, and print each span as a JSON line."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACES: Final = "/v1/traces"


def spans(body: bytes) -> list[dict[str, Any]]:
    """Return the spans of an export request, ids in hexadecimal; ``parent`` is empty where a trace begins."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        {
            "span": span.span_id.hex(),
            "parent": span.parent_span_id.hex(),
            "trace": span.trace_id.hex(),
            "name": span.name,
            "began": span.start_time_unix_nano,
            "ended": span.end_time_unix_nano,
            "status": span.status.message,
            "said": {each.key: each.value.string_value for each in span.attributes if each.value.string_value},
        }
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


async def _export(request: web.Request) -> web.Response:
    for span in spans(await request.read()):
        sys.stdout.write(json.dumps({"event": "span", **span}) + "\n")
    sys.stdout.flush()
    return web.Response(content_type="application/x-protobuf")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop; the collector's own flags, which say where it exports to, change nothing here."""
    parser = argparse.ArgumentParser(prog="collector", description=__doc__, allow_abbrev=False)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    options, _ = parser.parse_known_args(arguments)
    app = web.Application()
    app.router.add_post(TRACES, _export)
    web.run_app(app, host=options.host, port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
