"""The import registrar: its decisions, its requests, and its life against a Bedrock that keeps state."""

from __future__ import annotations

import json
import re
from typing import Any

import botocore.session
import pytest
from botocore.model import Shape, StructureShape
from botocore.validate import ParamValidator
from moto.moto_api import state_manager

from runtime.functions import model_import
from runtime.functions.custom_resource import DEADLINE, Done, Refused, Waiting
from runtime.functions.model_import import DeleteModel, Found, Retag, StartJob, Wanted, next_action
from tandem.rehearsal.cloud.bedrock_actions import IMPORT_JOB
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tests.runtime.functions.conftest import CloudFormation, Invocation

_MODEL = "arn:aws:bedrock:us-east-2:111122223333:imported-model/0123456789ab"
_HERE = Wanted("m", "j", {"team": "a"})
_GONE = Wanted("m", "m", absent=True)


@pytest.mark.parametrize(
    ("wanted", "found", "action"),
    [
        (_HERE, Found(), StartJob()),
        (_HERE, Found(job_status="InProgress"), Waiting("import job j is InProgress")),
        (_HERE, Found(job_status="Completed"), Waiting("import job j is Completed")),
        (_HERE, Found(_MODEL, {"team": "a"}), Done({"ModelArn": _MODEL})),
        (_HERE, Found(_MODEL, {"team": "b", "old": "x"}), Retag(_MODEL, {"team": "a"}, ("old",))),
        (_GONE, Found(_MODEL), DeleteModel(_MODEL)),
        (
            _GONE,
            Found(job_status="InProgress"),
            Waiting("an import job of model m is InProgress and cannot be stopped"),
        ),
        (_GONE, Found(), Done()),
    ],
)
def test_every_state_has_its_next_action(wanted: Wanted, found: Found, action: object) -> None:
    assert next_action(wanted, found) == action


def test_a_failed_job_is_told_with_bedrocks_reason() -> None:
    with pytest.raises(Refused, match="import job j failed: no tokenizer"):
        next_action(_HERE, Found(job_status="Failed", failure="no tokenizer"))


def test_the_request_is_what_bedrocks_service_model_takes() -> None:
    properties = _properties("arn:aws:iam::111122223333:role/reader", tags={"team": "a b/c"})
    properties["Name"] = "a" * 40
    name = model_import.model_name({"StackId": "s", "LogicalResourceId": "r", "ResourceProperties": properties})
    wanted = Wanted(name, f"{name}-{'f' * 8}", properties["Tags"])
    request = model_import.job_request(wanted, properties, "0b3c5c1e-6d7c-4d0c-9d0e-7a8a8c5f0001")
    shape = botocore.session.get_session().get_service_model("bedrock").operation_model("CreateModelImportJob")
    report = ParamValidator().validate(request, shape.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert list(_unmatched(shape.input_shape, request)) == []
    assert list(_unmatched(shape.input_shape, {**request, "jobName": "a_b"})) == ["a_b"]


def _unmatched(shape: Shape, value: Any) -> Any:
    """Yield texts that break their pattern or length, which botocore itself does not look at."""
    if isinstance(shape, StructureShape):
        for key, item in value.items():
            yield from _unmatched(shape.members[key], item)
    elif shape.type_name == "list":
        for item in value:
            yield from _unmatched(shape.member, item)
    elif not re.fullmatch(shape.metadata.get("pattern", ".*"), value) or len(value) > shape.metadata["max"]:
        yield value


@pytest.fixture
def stack(cloud: EmbeddedCloud) -> CloudFormation:
    return CloudFormation(cloud, model_import.handler)


@pytest.fixture
def reader(cloud: EmbeddedCloud) -> Any:
    iam = cloud.api.client("iam")
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "bedrock.amazonaws.com"}}
    policy = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::weights/*"}
    arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=_document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="reader", PolicyName="own", PolicyDocument=_document(policy))
    yield arn
    iam.delete_role_policy(RoleName="reader", PolicyName="own")
    iam.delete_role(RoleName="reader")


def _document(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _properties(role: str, *, weights: str = "s3://weights/a/", tags: dict[str, str] | None = None) -> dict[str, Any]:
    key = "arn:aws:kms:us-east-2:111122223333:key/11111111-2222-3333-4444-555555555555"
    return {"Name": "small", "WeightsUri": weights, "RoleArn": role, "KmsKeyArn": key, "Tags": tags or {"team": "a"}}


def _models(stack: CloudFormation, name: str) -> list[str]:
    jobs = stack.cloud.api.client("bedrock").list_model_import_jobs(nameContains=name)["modelImportJobSummaries"]
    return [job["jobName"] for job in jobs]


def _tags(stack: CloudFormation, arn: str) -> dict[str, str]:
    listed = stack.cloud.api.client("bedrock").list_tags_for_resource(resourceARN=arn)["tags"]
    return {tag["key"]: tag["value"] for tag in listed}


def _take(times: int) -> None:
    state_manager.set_transition(IMPORT_JOB, {"progression": "manual", "times": times})


def test_a_model_lives_and_dies_with_its_stack(stack: CloudFormation, reader: str) -> None:
    _take(3)
    made = stack.send("Create", _properties(reader))
    assert made["Status"] == "SUCCESS", made
    arn, name = made["Data"]["ModelArn"], made["PhysicalResourceId"]
    assert _tags(stack, arn) == {"team": "a"}
    gone = stack.send("Delete", _properties(reader), PhysicalResourceId=name)
    assert (gone["Status"], gone["PhysicalResourceId"]) == ("SUCCESS", name)
    again = stack.send("Delete", _properties(reader), PhysicalResourceId=name)
    assert again["Status"] == "SUCCESS"


def test_the_same_event_twice_makes_one_model(stack: CloudFormation, reader: str) -> None:
    event = stack.event("Create", _properties(reader))
    first = stack.deliver(event)
    assert first is not None
    event["ResponseURL"] = stack.cloud.mailbox.open(stack.cloud.endpoint)
    assert stack.deliver(event) == first
    assert len(_models(stack, first["PhysicalResourceId"])) == 1


def test_two_stacks_of_one_name_have_two_models(stack: CloudFormation, reader: str) -> None:
    other = CloudFormation(stack.cloud, model_import.handler)
    names = {each.send("Create", _properties(reader))["PhysicalResourceId"] for each in (stack, other)}
    assert len(names) == 2


def test_tags_change_in_place(stack: CloudFormation, reader: str) -> None:
    made = stack.send("Create", _properties(reader, tags={"team": "a", "old": "x"}))
    name, arn = made["PhysicalResourceId"], made["Data"]["ModelArn"]
    changed = stack.send("Update", _properties(reader, tags={"team": "b"}), PhysicalResourceId=name)
    assert (changed["PhysicalResourceId"], changed["Data"]["ModelArn"]) == (name, arn)
    assert _tags(stack, arn) == {"team": "b"}


def test_other_weights_make_another_model_and_the_old_one_goes_last(stack: CloudFormation, reader: str) -> None:
    old = stack.send("Create", _properties(reader))
    new = stack.send(
        "Update", _properties(reader, weights="s3://weights/b/"), PhysicalResourceId=old["PhysicalResourceId"]
    )
    assert new["PhysicalResourceId"] != old["PhysicalResourceId"]
    assert _tags(stack, old["Data"]["ModelArn"])
    # the stack fails further on: CloudFormation goes back to the old properties, then removes the new model
    back = stack.send("Update", _properties(reader), PhysicalResourceId=new["PhysicalResourceId"])
    assert back["Data"] == old["Data"]
    properties = _properties(reader, weights="s3://weights/b/")
    stack.send("Delete", properties, PhysicalResourceId=new["PhysicalResourceId"])
    assert _tags(stack, old["Data"]["ModelArn"])


def test_a_failed_create_rolls_back(stack: CloudFormation, reader: str) -> None:
    unreadable = _properties(reader, weights="s3://other/")
    failed = stack.send("Create", unreadable)
    assert failed["Status"] == "FAILED"
    assert f"{reader} may not s3:GetObject arn:aws:s3:::other/config.json" in failed["Reason"]
    gone = stack.send("Delete", unreadable, PhysicalResourceId=failed["PhysicalResourceId"])
    assert gone["Status"] == "SUCCESS"
    assert len(_models(stack, failed["PhysicalResourceId"])) == 1
    # a failed job keeps its name; a second attempt runs under another
    assert "may not s3:GetObject" in stack.send("Create", unreadable)["Reason"]


def test_a_failed_update_leaves_the_old_model_its_id(stack: CloudFormation, reader: str) -> None:
    old = stack.send("Create", _properties(reader))
    kept = {"PhysicalResourceId": old["PhysicalResourceId"]}
    failed = stack.send("Update", _properties(reader, weights="s3://other/"), **kept)
    assert (failed["Status"], failed["PhysicalResourceId"]) == ("FAILED", old["PhysicalResourceId"])
    assert stack.send("Update", _properties(reader), **kept)["Data"] == old["Data"]


def test_a_refused_call_is_told(stack: CloudFormation) -> None:
    nobody = stack.send("Create", {**_properties("arn:aws:iam::111122223333:role/r"), "WeightsUri": ""})
    assert nobody["Status"] == "FAILED"
    assert "s3Uri" in nobody["Reason"]
    assert stack.send("Create", {})["Reason"] == "KeyError: 'WeightsUri'"


def test_deleting_waits_for_a_job_that_nobody_can_stop(
    stack: CloudFormation, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _take(6)
    handed_over: list[dict[str, Any]] = []
    monkeypatch.setattr("runtime.functions.custom_resource._hand_over", lambda event, _: handed_over.append(event))
    event = stack.event("Create", _properties(reader))
    model_import.handler(event, Invocation(milliseconds=30_000))
    assert handed_over
    # CloudFormation gave up and made an id up
    gone = stack.send("Delete", _properties(reader), PhysicalResourceId="s_Resource_1ABC")
    assert (gone["Status"], gone["PhysicalResourceId"]) == ("SUCCESS", "s_Resource_1ABC")
    bedrock, name = stack.cloud.api.client("bedrock"), model_import.model_name(event)
    [job] = bedrock.list_model_import_jobs(nameContains=name)["modelImportJobSummaries"]
    assert job["status"] == "Completed"
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_imported_model(modelIdentifier=name)


def test_an_import_outlives_one_invocation(
    stack: CloudFormation, reader: str, monkeypatch: pytest.MonkeyPatch, clock: list[float]
) -> None:
    _take(5)
    queue: list[dict[str, Any]] = [stack.event("Create", _properties(reader))]
    monkeypatch.setattr("runtime.functions.custom_resource._hand_over", lambda event, _: queue.append(event))
    url, invocations = queue[0]["ResponseURL"], 0
    while queue:
        invocations += 1
        model_import.handler(queue.pop(), Invocation(milliseconds=61_000 if invocations % 2 else 30_000))
    answer = json.loads(stack.cloud.mailbox.close(url) or b"{}")
    assert answer["Status"] == "SUCCESS"
    assert invocations > 3
    assert len(_models(stack, answer["PhysicalResourceId"])) == 1


def test_it_gives_up_before_cloudformation_does(stack: CloudFormation, reader: str, clock: list[float]) -> None:
    _take(100_000)
    failed = stack.send("Create", _properties(reader))
    assert failed["Status"] == "FAILED"
    assert "not done within 55 minutes: import job" in failed["Reason"]
    assert 55 * 60 < sum(clock) < 56 * 60
    late = stack.send("Delete", _properties(reader), PhysicalResourceId="x", **{DEADLINE: 0})
    assert "cannot be stopped" in late["Reason"]
