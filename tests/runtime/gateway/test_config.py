"""The environment, variable by variable."""

from __future__ import annotations

import json

import pytest

from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.config import Cs3Config, GatewayConfig, OpenAIConfig
from runtime.handoff import settings
from runtime.handoff.settings import SettingError
from tandem.spec.admission import Admission

ADMISSION = {**Admission().model_dump(), "gateways": 2}
COMMON = {
    settings.ADMISSION: json.dumps(ADMISSION),
    settings.DEPLOYMENT: "small",
    "AWS_REGION": "us-east-2",
    settings.METRICS_PORT: "9464",
    settings.GATEWAY_NAMESPACE: "small.internal",
    settings.GATEWAY_SERVICE: "gateway",
    settings.MODEL: "org/model",
    settings.MAX_MODEL_LEN: "4096",
    settings.LISTEN_PORT: "8000",
    settings.TENANTS_SECRET_ARN: "arn-1",
    settings.DECODE_SECRET_ARN: "arn-2",
    settings.NEW_TOKENS: "2048",
    settings.NEW_SHARE: "0.7",
}
PREFILL = {
    settings.PREFILL_NAMESPACE: "n",
    settings.PREFILL_SERVICE: "s",
    settings.PREFILL_STATUS_PORT: "8099",
    settings.PREFILL_SECRET_ARN: "arn-3",
}
DECODE = {settings.DECODE_NAMESPACE: "n", settings.DECODE_SERVICE: "d", settings.DECODE_STATUS_PORT: "8099"}
ENDPOINT = {settings.DECODE_ENDPOINTS: "https://decode.example.com/", settings.DECODE_MODEL: "org/model"}
TICKETS = {settings.TICKET_SECRET_ARN: "arn-4", settings.KV_LEASE_SECONDS: "30"}
WHOLE = {
    "cs3": {**COMMON, **PREFILL, **ENDPOINT, **TICKETS},
    "vllm": {**COMMON, **PREFILL, **DECODE},
    "openai": {**COMMON, **ENDPOINT},
}
EACH = [(provider, name) for provider, variables in WHOLE.items() for name in variables]


@pytest.mark.parametrize("provider", WHOLE)
def test_what_the_constructs_set_is_enough(provider: str) -> None:
    config = GatewayConfig.from_environment({**WHOLE[provider], settings.DECODE_PROVIDER: provider})
    assert (config.port, config.agentcore_secret_arn) == (8000, None)


def test_what_the_deployment_file_leaves_open_is_what_a_gateway_takes_by_itself() -> None:
    config = GatewayConfig.from_environment({**WHOLE["openai"], settings.DECODE_PROVIDER: "openai"})
    assert config.admission == AdmissionConfig(gateways=2)


@pytest.mark.parametrize("text", ["{", "[]", "{}", json.dumps({**ADMISSION, "tenant": {"unknown": 1}})])
def test_bounds_that_cannot_be_read_are_named(text: str) -> None:
    environment = {**WHOLE["openai"], settings.DECODE_PROVIDER: "openai", settings.ADMISSION: text}
    with pytest.raises(SettingError, match=f"{settings.ADMISSION} cannot be used"):
        GatewayConfig.from_environment(environment)


def test_agentcore_has_a_secret_where_it_is_registered() -> None:
    environment = {**WHOLE["openai"], settings.DECODE_PROVIDER: "openai", settings.AGENTCORE_SECRET_ARN: "arn-5"}
    assert GatewayConfig.from_environment(environment).agentcore_secret_arn == "arn-5"


def test_several_endpoints_and_where_to_spill_over_are_read() -> None:
    spare = {
        settings.SPILL_OVER_ENDPOINTS: "https://spare.example.com",
        settings.SPILL_OVER_MODEL: "theirs",
        settings.SPILL_OVER_SECRET_ARN: "arn-6",
    }
    several = {settings.DECODE_ENDPOINTS: "https://a.example.com,https://b.example.com/"}
    config = GatewayConfig.from_environment({**WHOLE["cs3"], settings.DECODE_PROVIDER: "cs3", **spare, **several})
    assert isinstance(config.provider, Cs3Config)
    assert config.provider.endpoints == ("https://a.example.com", "https://b.example.com")
    assert config.spill_over == OpenAIConfig(
        endpoints=("https://spare.example.com",), model="theirs", secret_arn="arn-6"
    )


@pytest.mark.parametrize(("provider", "name"), EACH)
def test_each_variable_is_needed(provider: str, name: str) -> None:
    environment = {**WHOLE[provider], settings.DECODE_PROVIDER: provider}
    del environment[name]
    with pytest.raises(SettingError, match=f"{name} is not set"):
        GatewayConfig.from_environment(environment)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (settings.DECODE_PROVIDER, "gpu"),
        (settings.LISTEN_PORT, "70000"),
        (settings.LISTEN_PORT, "http"),
        (settings.MAX_MODEL_LEN, "-1"),
        (settings.KV_LEASE_SECONDS, "0"),
        (settings.DECODE_ENDPOINTS, "decode.example.com"),
        (settings.DECODE_ENDPOINTS, "https://decode.example.com/v1"),
        (settings.DECODE_ENDPOINTS, "ftp://decode.example.com"),
    ],
)
def test_an_unusable_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        GatewayConfig.from_environment({**WHOLE["cs3"], settings.DECODE_PROVIDER: "cs3", name: value})
