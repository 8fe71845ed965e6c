"""Stand in for the OpenTelemetry collector: take OTLP over HTTP on its port, and print each span as a JSON line."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ADDRESS: Final = "127.0.0.1"
"""Containers of one task share their loopback interface."""
PORT: Final = 4318
"""OTLP's own port for HTTP."""
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


def main() -> None:
    """Serve until told to stop."""
    app = web.Application()
    app.router.add_post(TRACES, _export)
    web.run_app(app, host=ADDRESS, port=PORT, print=None, access_log=None)


if __name__ == "__main__":
    main()
