"""Keys that nobody filled in are found, and no key is ever shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.handoff import settings
from tandem.doctor.checks import decode_secret
from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, client, judge, outputs

SNAPSHOT = Path(__file__).parents[3] / "snapshots" / "rehearsal.json"


def deployed(text: str) -> Any:
    """Make the secret, and the stack that has it."""
    arn = client("secretsmanager").create_secret(Name="keys", SecretString=text)["ARN"]
    return outputs(("Url", "https://x"), (settings.DECODE_SECRET_OUTPUT, arn))


def judged(text: str, provider: str = "cs3") -> Result:
    return judge("decode-secret", deployment(provider), cloudformation=deployed(text))


def test_filled_keys_pass_and_are_not_shown() -> None:
    result = judged(json.dumps({"api_key": "tell-nobody"}))
    assert (result.verdict, result.found) == (Verdict.PASS, "api_key filled in")


@pytest.mark.parametrize(
    "text", ['{"api_key": "to-be-replaced"}', '{"api_key": ""}', "{}", "tell-nobody", '["tell-nobody"]']
)
def test_a_key_that_is_not_filled_in_fails(text: str) -> None:
    result = judged(text)
    assert (result.verdict, result.found) == (Verdict.FAIL, "api_key not filled in")


def test_before_a_deploy_nobody_knows() -> None:
    result = judge("decode-secret", deployment())
    assert (result.verdict, result.found) == (Verdict.UNKNOWN, "stack small-decode is not deployed")


def test_a_stack_without_its_secret_is_unknown() -> None:
    assert judge("decode-secret", deployment(), cloudformation=outputs()).verdict is Verdict.UNKNOWN


def test_a_secret_that_may_not_be_read_is_unknown() -> None:
    denied = answering("secretsmanager", ("get_secret_value", "AccessDeniedException"))
    result = judge("decode-secret", deployment(), cloudformation=deployed("{}"), secretsmanager=denied)
    assert result.verdict is Verdict.UNKNOWN
    assert result.change == "have GetSecretValue allowed for these credentials"


def test_own_workers_need_no_secret() -> None:
    assert judge("decode-secret", deployment("vllm")).verdict is Verdict.PASS


def test_the_placeholder_is_the_templates() -> None:
    assert decode_secret._PLACEHOLDER in SNAPSHOT.read_text()
