"""Weights that are not where the file says are found."""

from __future__ import annotations

import pytest

from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import client, judge, refusing


def judged(uri: str, *files: str) -> Result:
    client("s3").create_bucket(Bucket="weights", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    for file in files or ("config.json", "tokenizer.json"):
        client("s3").put_object(Bucket="weights", Key=f"llama/{file}", Body=b"{}")
    return judge("weights", deployment(model__weights=uri))


def test_weights_that_are_there_pass() -> None:
    result = judged("s3://weights/llama")
    assert (result.verdict, result.found) == (
        Verdict.PASS,
        "s3://weights/llama has config.json; prompts are counted by s3://weights/llama/tokenizer.json",
    )


@pytest.mark.parametrize("uri", ["s3://weights/lama", "s3://elsewhere/llama"])
def test_weights_that_are_not_there_fail(uri: str) -> None:
    result = judged(uri)
    assert (result.verdict, result.found) == (Verdict.FAIL, f"{uri} has no config.json")


def test_a_tokenizer_that_is_not_there_fails() -> None:
    result = judged("s3://weights/llama", "config.json")
    assert result.verdict is Verdict.FAIL
    assert result.found == "there is no s3://weights/llama/tokenizer.json, so the gateway estimates prompts"


def test_a_bucket_that_is_not_ours_to_read_is_unknown() -> None:
    asked = deployment(model__weights="s3://weights/llama")
    assert judge("weights", asked, s3=refusing("s3", "us-east-2")).verdict is Verdict.UNKNOWN


def test_the_hub_is_not_asked() -> None:
    assert judge("weights", deployment()).verdict is Verdict.PASS
