"""A traced request is one span with its legs within, or the rehearsal fails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tandem.rehearsal.checks.traces import TraceError, require_traces

_PHASES = {"reserve": 1.0, "prefill": 2.0, "first_token": 3.0}


def _request(trace: str | None = "t1", **phases: float) -> str:
    return json.dumps({"event": "request", "request_id": "r1", "trace_id": trace, "phases_ms": phases or _PHASES})


def _span(name: str, **changes: Any) -> str:
    leg = {"span": name, "parent": "chat", "trace": "t1", "name": name, "began": 2, "ended": 3}
    root = {"parent": "", "began": 1, "ended": 9} if name == "chat" else {}
    return json.dumps({"event": "span", **leg, **root, **changes})


_WHOLE = [_span(name) for name in ("reserve", "prefill", "decode", "chat")]


def test_whole_traces_are_counted() -> None:
    assert require_traces(["", "vllm: ready", "[]", _request(), *_WHOLE]) == 1
    assert require_traces([_request(None), *_WHOLE]) == 0


def test_a_provider_without_reservation_has_fewer_legs() -> None:
    assert require_traces([_request(prefill=1.0), _span("prefill"), _span("decode"), _span("chat")]) == 1


@pytest.mark.parametrize("missing", range(4))
def test_a_span_that_did_not_arrive_is_missed(missing: int) -> None:
    with pytest.raises(TraceError, match="request r1: the collector got"):
        require_traces([_request(), *(span for index, span in enumerate(_WHOLE) if index != missing)])


@pytest.mark.parametrize("changes", [{"parent": "other"}, {"trace": "t2"}, {"ended": 10}, {"began": 0}])
def test_a_leg_outside_its_request_is_missed(changes: dict[str, Any]) -> None:
    with pytest.raises(TraceError, match="within, the legs decode, prefill; one and decode, prefill, reserve"):
        require_traces([_request(), _span("reserve", **changes), *_WHOLE[1:]])
