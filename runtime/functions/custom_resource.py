"""Carry out a CloudFormation custom resource that takes longer than a function may run.

A registrar looks at what is there, decides, and does one thing at a time; this module repeats that until it is done.
Shortly before its time is over the function invokes itself with the same event, so nothing but the deadline has to be
remembered. Lambda stops a function that invokes itself 16 times over (recursive loop detection); an hour needs 5.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import boto3

DEADLINE: Final = "TandemDeadline"
"""The key that an event gets at its first invocation: when to give up, in seconds since 1970."""
GIVE_UP_SECONDS: Final = 55 * 60
"""CloudFormation waits an hour at most (ServiceTimeout); the rest is for telling it why nothing came of it."""
_HANDOVER_SECONDS: Final = 60
_LONGEST_PAUSE_SECONDS: Final = 20
_MAX_REASON: Final = 1000
"""CloudFormation refuses a response of more than 4 KiB."""

Event = Mapping[str, Any]


class Context(Protocol):
    """Be what Lambda tells a function of itself."""

    invoked_function_arn: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until Lambda ends the function."""


class Refused(Exception):  # noqa: N818 - it is the registrar's answer, not a fault of this program
    """Tell why the resource cannot be had."""


@dataclass(frozen=True, slots=True)
class Done:
    """Say that the resource is as the event wants it; ``data`` is what Fn::GetAtt finds."""

    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Say what is being waited for, or what was just done; the next step looks again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Goal:
    """Say what to do with an event: ``step`` until it is ``Done``.

    ``wanted_id`` is the physical id in case of success, ``failed_id`` in case of failure: CloudFormation sends it back
    with the Delete that follows, so it must not name anything that was there before.
    """

    wanted_id: str
    failed_id: str
    step: Callable[[], Done | Waiting]


def carry_out(event: Event, context: Context, plan: Callable[[Event], Goal]) -> None:
    """Bring ``event`` to its end, or hand it over to a fresh invocation; CloudFormation is told in every case."""
    event = {DEADLINE: time.time() + GIVE_UP_SECONDS, **event}
    failed_id = str(event.get("PhysicalResourceId") or event["LogicalResourceId"])
    try:
        goal = plan(event)
        failed_id = goal.failed_id
        done = _settle(goal, event, context)
        if done is None:
            _hand_over(event, context)
            return
    except Exception as error:  # whatever goes wrong: CloudFormation waits an hour for one who says nothing
        reason = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        print(json.dumps({"failed": reason}))
        _respond(event, "FAILED", failed_id, reason=reason[:_MAX_REASON])
        return
    _respond(event, "SUCCESS", goal.wanted_id, data=done.data)


def _settle(goal: Goal, event: Event, context: Context) -> Done | None:
    """Step until done, at growing intervals; return None when this invocation's time is over."""
    pause = 1
    while True:
        outcome = goal.step()
        if isinstance(outcome, Done):
            return outcome
        print(json.dumps({"waiting": outcome.reason}))
        if time.time() > event[DEADLINE]:
            raise Refused(f"not done within {GIVE_UP_SECONDS // 60} minutes: {outcome.reason}")
        if context.get_remaining_time_in_millis() < 1000 * (_HANDOVER_SECONDS + pause):
            return None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _hand_over(event: Event, context: Context) -> None:
    boto3.client("lambda").invoke(
        FunctionName=context.invoked_function_arn, InvocationType="Event", Payload=json.dumps(event)
    )


def _respond(
    event: Event, status: str, physical_id: str, reason: str = "", data: Mapping[str, str] | None = None
) -> None:
    same = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    answer = {"Status": status, "PhysicalResourceId": physical_id, "Reason": reason, "Data": dict(data or {}), **same}
    request = urllib.request.Request(  # noqa: S310 - CloudFormation's own URL
        event["ResponseURL"], json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310 - as above
        pass
