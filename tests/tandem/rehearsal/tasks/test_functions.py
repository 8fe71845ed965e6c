"""Scheduled functions run once each, with what EventBridge sends, and must report well."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.functions import FunctionRun, FunctionRunError, run_scheduled

_TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
Scheduled = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def scheduled(aws: Api) -> Scheduled:
    """Return a context in which a handler is deployed with a rule."""

    @contextmanager
    def deployed(answer: str, **rule: object) -> Iterator[None]:
        code = {"ZipFile": f"def handler(event, context):\n    {answer}\n"}
        properties = {"FunctionName": "probe", "Runtime": "python3.13", "Handler": "index.handler", "Code": code}
        target = {"Id": "probe", "Arn": {"Fn::GetAtt": ["Probe", "Arn"]}}
        rule = {"ScheduleExpression": "rate(1 minute)", "State": "ENABLED", **rule}
        resources = {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": [_TRUST]}}},
            "Probe": {
                "Type": "AWS::Lambda::Function",
                "Properties": {**properties, "Role": {"Fn::GetAtt": ["Role", "Arn"]}},
            },
            "Rule": {"Type": "AWS::Events::Rule", "Properties": {**rule, "Targets": [target]}},
        }
        cloudformation = aws.client("cloudformation")
        cloudformation.create_stack(StackName="functions", TemplateBody=json.dumps({"Resources": resources}))
        try:
            assert (
                cloudformation.describe_stacks(StackName="functions")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
            )
            yield
        finally:
            cloudformation.delete_stack(StackName="functions")

    return deployed


def test_runs_a_scheduled_function_with_a_scheduled_event(aws: Api, scheduled: Scheduled) -> None:
    with scheduled("print('seen'); return {'up': True, 'event': event}"):
        event = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
        assert run_scheduled(aws) == [FunctionRun("probe", {"up": True, "event": event}, "seen\n")]


@pytest.mark.parametrize("answer", ["None", "0", "[]", "{}"])
def test_any_answer_but_down_will_do(aws: Api, scheduled: Scheduled, answer: str) -> None:
    with scheduled(f"return {answer}"):
        assert run_scheduled(aws) == [FunctionRun("probe", json.loads(answer.replace("None", "null")), "")]


def test_a_function_that_reports_down_is_a_failure(aws: Api, scheduled: Scheduled) -> None:
    with scheduled("return {'up': False, 'reason': 'status 401'}"), pytest.raises(FunctionRunError) as raised:
        run_scheduled(aws)
    assert str(raised.value) == 'function probe failed: {"up": false, "reason": "status 401"}'


def test_a_function_that_raises_is_a_failure(aws: Api, scheduled: Scheduled) -> None:
    with scheduled("raise ValueError('no such setting')"), pytest.raises(FunctionRunError, match="no such setting"):
        run_scheduled(aws)


@pytest.mark.parametrize(
    "rule", [{"State": "DISABLED"}, {"ScheduleExpression": None, "EventPattern": {"source": ["aws.ecs"]}}]
)
def test_what_is_not_scheduled_does_not_run(aws: Api, scheduled: Scheduled, rule: dict[str, object]) -> None:
    changes = {key: value for key, value in rule.items() if value is not None}
    if rule.get("ScheduleExpression", "") is None:
        changes["ScheduleExpression"] = {"Ref": "AWS::NoValue"}
    with scheduled("raise ValueError('must not run')", **changes):
        assert run_scheduled(aws) == []


def test_an_account_without_schedules_runs_nothing(aws: Api) -> None:
    assert run_scheduled(aws) == []
