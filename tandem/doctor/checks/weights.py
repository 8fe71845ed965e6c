"""Check that the buckets hold the weights and the tokenizer that the file names."""

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
    model = deployment.model
    if model.weights and not _stored(aws, f"{model.weights}/{_NEEDED}"):
        return failed(f"{model.weights} has no {_NEEDED}", "copy the hub's repository there, or correct model.weights")
    if model.tokenizer_file and not _stored(aws, model.tokenizer_file):
        return failed(
            f"there is no {model.tokenizer_file}, so the gateway estimates prompts",
            "copy the model's tokenizer.json there, or correct model.tokenizer",
        )
    found = f"{model.weights} has {_NEEDED}" if model.weights else "workers fetch weights from the Hugging Face hub"
    return passed(f"{found}; prompts are counted by {model.tokenizer_file}" if model.tokenizer_file else found)


def _stored(aws: Aws, uri: str) -> bool:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        aws.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise
        return False
    return True
