"""Keys of our own making are rotated on the file's schedule, by a function that may touch that secret alone."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.handoff import settings
from tests.documents import CERTIFICATE
from tests.templates import resources, statements, templates

_AGENTCORE = {
    "registration__registrar": "agentcore-gateway",
    "gateway__certificate_arn": CERTIFICATE,
    "gateway__domain": "llm.example.com",
}


def _rotation(template: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    [schedule] = resources(template, "AWS::SecretsManager::RotationSchedule").values()
    function = schedule["RotationLambdaARN"]["Fn::GetAtt"][0]
    return schedule, resources(template, "AWS::Lambda::Function")[function]


@pytest.mark.parametrize(
    ("provider", "stage", "field"),
    [("cs3", "prefill", None), ("vllm", "prefill", None), ("vllm", "decode", None), ("cs3", "gateway", "api_key")],
)
def test_a_key_is_rotated_on_schedule_and_by_no_deployment(provider: str, stage: str, field: str | None) -> None:
    template = templates(provider, **_AGENTCORE, secrets__rotation_days=7)[stage]
    schedule, function = _rotation(template)
    assert schedule["RotationRules"] == {"AutomaticallyAfterDays": 7}
    assert schedule["RotateImmediatelyOnUpdate"] is False
    assert function["Handler"] == "runtime.functions.rotation.handler"
    told = function.get("Environment", {}).get("Variables", {})
    assert told == ({settings.SECRET_FIELD: field} if field else {})


def test_the_function_may_touch_its_secret_alone_and_nobody_but_secrets_manager_invokes_it() -> None:
    prefill = templates()["prefill"]
    schedule, _ = _rotation(prefill)
    own = [s for s in statements(prefill, "Rotation") if "secretsmanager:PutSecretValue" in s["Action"]]
    assert [s["Resource"] for s in own] == [schedule["SecretId"]]
    [permission] = resources(prefill, "AWS::Lambda::Permission").values()
    assert permission["Principal"] == "secretsmanager.amazonaws.com"
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
