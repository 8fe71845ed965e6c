"""Run what the deployment runs on a schedule, once each, as EventBridge would."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.errors import RehearsalError


class FunctionRunError(RehearsalError):
    """Say which function failed, and what it answered."""


@dataclass(frozen=True, slots=True)
class FunctionRun:
    """Hold a function's name, its answer and the end of its log."""

    name: str
    answer: Any
    log: str


def run_scheduled(aws: Api) -> list[FunctionRun]:
    """Invoke the targets of the enabled schedules; raise ``FunctionRunError`` if one fails or reports ``up: false``."""
    events = aws.client("events")
    enabled = [rule for rule in events.list_rules()["Rules"] if rule["State"] == "ENABLED"]
    rules = [rule for rule in enabled if rule.get("ScheduleExpression")]
    arns = [target["Arn"] for rule in rules for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]]
    return [_run(aws, arn) for arn in arns if ":lambda:" in arn]


def _run(aws: Api, arn: str) -> FunctionRun:
    event = json.dumps({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
    response = aws.client("lambda").invoke(FunctionName=arn, Payload=event, LogType="Tail")
    answer = json.loads(response["Payload"].read() or b"null")
    name = arn.rpartition(":")[2]
    if response.get("FunctionError") or (isinstance(answer, dict) and answer.get("up") is False):
        raise FunctionRunError(f"function {name} failed: {json.dumps(answer)}")
    return FunctionRun(name, answer, base64.b64decode(response["LogResult"]).decode(errors="replace"))
