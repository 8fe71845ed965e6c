"""Import weights from S3 into Bedrock, and keep the imported model as CloudFormation wants it.

The model's name is the physical id. It is made of the stack's id and of what cannot change in place, so the same event
twice means the same model, other weights mean another model, and no other stack's model bears it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

import boto3
from botocore.exceptions import ClientError

from runtime.functions.custom_resource import Context, Done, Event, Goal, Refused, Waiting, carry_out

_FIXED: Final = ("WeightsUri", "RoleArn", "KmsKeyArn")
"""Properties that a change of which needs another model."""
_ABSENT: Final = "ResourceNotFoundException"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say which model is wanted; ``absent`` for a Delete."""

    name: str
    job: str
    tags: Mapping[str, str] = field(default_factory=dict)
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Hold what Bedrock has: the model with its tags, and the state of the import job."""

    model_arn: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    job_status: str | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class StartJob:
    """Start the import job."""


@dataclass(frozen=True, slots=True)
class Retag:
    """Set and remove tags of the model."""

    model_arn: str
    put: Mapping[str, str]
    remove: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteModel:
    """Delete the model."""

    model_arn: str


Action = StartJob | Retag | DeleteModel | Waiting | Done


def next_action(wanted: Wanted, found: Found) -> Action:
    """Return what brings what was found nearer to what is wanted; raise ``Refused`` when the import has failed."""
    if wanted.absent:
        return _towards_absence(wanted, found)
    if found.model_arn:
        put = {key: value for key, value in wanted.tags.items() if found.tags.get(key) != value}
        remove = tuple(sorted(found.tags.keys() - wanted.tags.keys()))
        return Retag(found.model_arn, put, remove) if put or remove else Done({"ModelArn": found.model_arn})
    match found.job_status:
        case None:
            return StartJob()
        case "Failed":
            raise Refused(f"import job {wanted.job} failed: {found.failure or 'Bedrock gave no reason'}")
        case status:  # InProgress; or Completed, and the model is not to be seen yet
            return Waiting(f"import job {wanted.job} is {status}")


def _towards_absence(wanted: Wanted, found: Found) -> Action:
    if found.model_arn:
        return DeleteModel(found.model_arn)
    if found.job_status == "InProgress":  # no call stops an import job: its model would outlive the stack
        return Waiting(f"an import job of model {wanted.name} is InProgress and cannot be stopped")
    return Done()


def handler(event: Event, context: Context) -> None:
    """Answer a custom resource with ``WeightsUri``, ``RoleArn``, ``KmsKeyArn``, ``Name`` and ``Tags`` (an object)."""
    carry_out(event, context, lambda given: plan(given, boto3.client("bedrock")))


def plan(event: Event, bedrock: Any) -> Goal:
    """Return the goal of an event; ``bedrock`` is a boto3 client."""
    properties = event["ResourceProperties"]
    name = model_name(event)
    previous = str(event.get("PhysicalResourceId") or name)
    if event["RequestType"] == "Delete":
        # CloudFormation makes up an id for a resource that never answered
        target = previous if previous.startswith(f"{properties['Name']}-") else name
        wanted = Wanted(target, job=target, absent=True)
        return Goal(previous, previous, lambda: _step(wanted, properties, event, bedrock))
    job = f"{name}-{_digest(event['RequestId'])[:8]}"  # a failed job keeps its name: a new attempt needs another
    wanted = Wanted(name, job, tags=dict(properties.get("Tags", {})))
    return Goal(name, previous, lambda: _step(wanted, properties, event, bedrock))


def model_name(event: Event) -> str:
    """Return the name of the model that an event is about."""
    properties = event["ResourceProperties"]
    fixed = [event["StackId"], event["LogicalResourceId"], *(properties[key] for key in _FIXED)]
    return f"{properties['Name']}-{_digest(json.dumps(fixed))[:12]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _step(wanted: Wanted, properties: Mapping[str, Any], event: Event, bedrock: Any) -> Done | Waiting:
    action = next_action(wanted, _observe(wanted, bedrock))
    match action:
        case Done() | Waiting():
            return action
        case StartJob():
            bedrock.create_model_import_job(**job_request(wanted, properties, event["RequestId"]))
            return Waiting(f"import job {wanted.job} is asked for")
        case Retag(model_arn, put, remove):
            _retag(bedrock, model_arn, put, remove)
            return Waiting(f"{model_arn} is being tagged")
        case DeleteModel(model_arn):
            bedrock.delete_imported_model(modelIdentifier=model_arn)
            return Waiting(f"{model_arn} is being deleted")
        case _:
            assert_never(action)


def job_request(wanted: Wanted, properties: Mapping[str, Any], token: str) -> dict[str, Any]:
    """Return the parameters of CreateModelImportJob; the same ``token`` again starts no second job."""
    tags = _pairs(wanted.tags)
    return {
        "jobName": wanted.job,
        "importedModelName": wanted.name,
        "roleArn": properties["RoleArn"],
        "modelDataSource": {"s3DataSource": {"s3Uri": properties["WeightsUri"]}},
        "importedModelKmsKeyId": properties["KmsKeyArn"],
        "jobTags": tags,
        "importedModelTags": tags,
        "clientRequestToken": token,
    }


def _observe(wanted: Wanted, bedrock: Any) -> Found:
    """Look at the job first: one that ends between two looks shows its model in the second."""
    status, failure = _observe_jobs(wanted, bedrock)
    try:
        model_arn = bedrock.get_imported_model(modelIdentifier=wanted.name)["modelArn"]
    except ClientError as error:
        _unless_absent(error)
        return Found(job_status=status, failure=failure)
    listed = bedrock.list_tags_for_resource(resourceARN=model_arn).get("tags", [])
    # AWS's own tags are listed, too, and nobody may change them
    own = {tag["key"]: tag["value"] for tag in listed if not tag["key"].startswith("aws:")}
    return Found(model_arn, own, status, failure)


def _observe_jobs(wanted: Wanted, bedrock: Any) -> tuple[str | None, str]:
    """Return the state of the wanted job, for a Delete of any job of the model, and why it failed."""
    if wanted.absent:
        jobs = bedrock.list_model_import_jobs(nameContains=wanted.name, statusEquals="InProgress")
        return ("InProgress" if jobs["modelImportJobSummaries"] else None), ""
    try:
        job = bedrock.get_model_import_job(jobIdentifier=wanted.job)
    except ClientError as error:
        _unless_absent(error)
        return None, ""
    return job["status"], job.get("failureMessage", "")


def _unless_absent(error: ClientError) -> None:
    if error.response["Error"]["Code"] != _ABSENT:
        raise error


def _retag(bedrock: Any, model_arn: str, put: Mapping[str, str], remove: tuple[str, ...]) -> None:
    if put:
        bedrock.tag_resource(resourceARN=model_arn, tags=_pairs(put))
    if remove:
        bedrock.untag_resource(resourceARN=model_arn, tagKeys=list(remove))


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]
