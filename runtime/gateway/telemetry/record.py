"""Keep what is logged and counted about one request."""

from __future__ import annotations

import msgspec
from opentelemetry.context import Context

from runtime.gateway.telemetry.phases import Phases, to_microseconds
from runtime.gateway.telemetry.usage import Usage

CLIENT_GONE = 499
"""The status logged where the client left before its answer; it never sees one (nginx's number)."""


class Record(msgspec.Struct):
    """Gather one request's log line; it holds no prompt, no answer and no header."""

    request_id: str
    method: str
    path: str
    phases: Phases = msgspec.field(default_factory=Phases)
    tenant: str | None = None
    stream: bool = False
    bytes_out: int = 0
    kv_bytes: int = 0
    usage: Usage | None = None
    """The tokens that it took, where its answer told."""
    code: str | None = None
    parent: Context = msgspec.field(default_factory=Context)
    """The client's trace."""
    trace_id: str | None = None

    def described(self) -> dict[str, str | int | float | bool]:
        """Return what a span tells of the request."""
        first_token = self.phases.first_token
        return {
            "tandem.request_id": self.request_id,
            "tandem.stream": self.stream,
            "tandem.kv_bytes": self.kv_bytes,
            **{f"tandem.decided.{what}": reason for what, reason in self.phases.decisions.items()},
            **({"tandem.first_token": first_token} if first_token else {}),
            **{f"gen_ai.usage.{name}": count for name, count in self._tokens.items() if count is not None},
            "tandem.retries": len(self.phases.retries),
            **{f"tandem.{name}_ms": spent for name, spent in self.phases.rounded.items()},
        }

    @property
    def _tokens(self) -> dict[str, int | None]:
        read, written = (self.usage.prompt_tokens, self.usage.completion_tokens) if self.usage else (None, None)
        return {"input_tokens": read, "output_tokens": written}

    def line(self, status: int) -> dict[str, object]:
        """Return what is logged once it ended with ``status``."""
        phases = self.phases
        ttft_ms = phases.ttft_ms
        return {
            "request_id": self.request_id,
            "trace_id": self.trace_id,
            "method": self.method,
            "path": self.path[:200],
            "status": status,
            "code": self.code,
            "tenant": self.tenant,
            "stream": self.stream,
            "worker": phases.worker,
            "decided": phases.decisions,
            "first_token": phases.first_token,
            "retries": [" ".join(retry) for retry in phases.retries],
            "phases_ms": phases.rounded,
            "ttft_ms": None if ttft_ms is None else to_microseconds(ttft_ms),
            "total_ms": to_microseconds(phases.total_ms),
            "bytes_out": self.bytes_out,
            "kv_bytes": self.kv_bytes,
            **self._tokens,
        }
