"""Take a deployment down: what must stay stays, a later deployment finds it again, and another stands beside it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from botocore.exceptions import ClientError

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.deploy import events as stack_events
from tandem.rehearsal.deploy import stacks
from tandem.rehearsal.deploy.site import Site
from tandem.rehearsal.run import DifferenceError, Rehearsal

_BUCKET: Final = "AWS::S3::Bucket"
_KEY: Final = "AWS::KMS::Key"
_OBJECT: Final = "kept/by-the-rehearsal"
_CONTENT: Final = b"what took an hour to compile"


def keep_storage(rehearsal: Rehearsal, here: Site) -> None:
    """Destroy all but the protected storage, deploy again, and find its buckets with their content."""
    storage, data = f"{rehearsal.deployment.name}-storage", _data(rehearsal, here.aws)
    for bucket in data[_BUCKET]:
        here.aws.client("s3").put_object(Bucket=bucket, Key=_OBJECT, Body=_CONTENT)
    rehearsal.say("destroying all but the storage, which is protected")
    with rehearsal.timed("destroy_but_storage"):
        here.cdk.destroy(f"{rehearsal.deployment.name}-network")  # and what stands on it, which the CLI finds itself
    if (left := stacks.left(here.aws)) != [storage]:
        raise DifferenceError(f"destroying the network's stack left {left}, not {storage} alone")
    rehearsal.say("deploying again on the storage that stayed")
    with rehearsal.timed("deploy_on_storage"):
        changed = here.cdk.deploy()
    if changed[storage] or _data(rehearsal, here.aws) != data:
        raise DifferenceError("the deployment did not take up the storage that stayed")
    _require_kept(here.aws, data)


def destroy_all(rehearsal: Rehearsal, here: Site) -> dict[str, set[str]]:
    """Destroy everything, protection taken off; return the data that must be, and is, left: physical ids by type."""
    data, ids = _data(rehearsal, here.aws), _stack_ids(here.aws)
    expected, seen = set(stacks.retained(here.aws)), stack_events.event_ids(here.aws)
    rehearsal.destroy(here)
    done = stack_events.actions(here.aws, seen, ids)
    skipped = {"/".join(key) for key, action in done.items() if action == "DELETE_SKIPPED"}
    if skipped != expected:
        raise DifferenceError(f"the destroy kept {sorted(skipped)}, allowed is what is retained: {sorted(expected)}")
    _require_kept(here.aws, data)
    rehearsal.report.changes["retained"] = sorted(skipped)
    return data


def deploy_beside(rehearsal: Rehearsal, here: Site, old: dict[str, set[str]]) -> None:
    """Deploy once more, beside the data that an earlier deployment of the same name left."""
    rehearsal.say("deploying beside what was kept")
    with rehearsal.timed("deploy_beside"):
        here.cdk.deploy()
    fresh = _data(rehearsal, here.aws)
    if shared := {each for kind in fresh for each in fresh[kind] & old[kind]}:
        raise DifferenceError(f"a deployment beside the kept data took {sorted(shared)} of it")
    _require_kept(here.aws, old)
    rehearsal.destroy(here)


def _data(rehearsal: Rehearsal, aws: Api) -> dict[str, set[str]]:
    """Return the physical ids of the storage's buckets and keys, by type."""
    stack = f"{rehearsal.deployment.name}-storage"
    found = {kind: stack_events.physical_ids(aws, kind) for kind in (_BUCKET, _KEY)}
    return {kind: {each for (name, _), each in ids.items() if name == stack} for kind, ids in found.items()}


def _require_kept(aws: Api, data: dict[str, set[str]]) -> None:
    _require_content(aws, data[_BUCKET])
    for key in data[_KEY]:
        if (state := aws.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]) != "Enabled":
            raise DifferenceError(f"key {key} is {state}: what it encrypts cannot be read")


def _require_content(aws: Api, buckets: Collection[str]) -> None:
    for bucket in buckets:
        try:
            content = aws.client("s3").get_object(Bucket=bucket, Key=_OBJECT)["Body"].read()
        except ClientError as error:
            raise DifferenceError(f"bucket {bucket} lost what was in it: {error}") from error
        if content != _CONTENT:
            raise DifferenceError(f"bucket {bucket} holds something else than was put into it")


def _stack_ids(aws: Api) -> list[str]:
    """Return the ids of all stacks, by which their events are found once they are deleted."""
    standing = set(stacks.left(aws))
    described = aws.client("cloudformation").describe_stacks()["Stacks"]
    return [stack["StackId"] for stack in described if stack["StackName"] in standing]
