"""Check that the bucket holds the weights that the file names."""

from __future__ import annotations

from botocore.exceptions import ClientError

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment

_NEEDED = "config.json"
"""Every repository of the Hugging Face hub that vLLM loads has it."""
_ABSENT = ("404", "NoSuchBucket")
"""How S3 answers HeadObject for a key, and moto for a bucket, that is not there."""


def check(deployment: Deployment, aws: Aws) -> Result:
    """Ask S3 for one file below ``model.weights``; whether all shards are there the workers find at their start."""
    uri = deployment.model.weights
    if uri is None:
        return passed("workers fetch weights from the Hugging Face hub")
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    try:
        aws.client("s3").head_object(Bucket=bucket, Key=f"{prefix}/{_NEEDED}")
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise
        return failed(f"{uri} has no {_NEEDED}", "copy the hub's repository there, or correct model.weights")
    return passed(f"{uri} has {_NEEDED}")
