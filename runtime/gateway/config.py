"""Read the gateway's configuration from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.routing.disaggregation import Thresholds
from runtime.handoff import settings
from runtime.handoff.settings import SettingError, required, required_int, required_list, required_share


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkersConfig:
    """Say where vLLM workers are registered, where they tell their state, and which secret is the key they ask for."""

    namespace: str
    service: str
    status_port: int
    secret_arn: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cs3Config:
    """Configure KV handoff to decode endpoints of the contract, which share a key."""

    prefill: WorkersConfig
    lease_seconds: int
    endpoints: tuple[str, ...]
    model: str
    secret_arn: str
    ticket_secret_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read what the provider needs; raise ``SettingError``."""
        return cls(
            prefill=_prefill(environment),
            lease_seconds=required_int(environment, settings.KV_LEASE_SECONDS),
            endpoints=_base_urls(environment, settings.DECODE_ENDPOINTS),
            model=required(environment, settings.DECODE_MODEL),
            secret_arn=required(environment, settings.DECODE_SECRET_ARN),
            ticket_secret_arn=required(environment, settings.TICKET_SECRET_ARN),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmConfig:
    """Configure KV handoff to vLLM decode workers, which take vLLM's parameters as they are."""

    prefill: WorkersConfig
    decode: WorkersConfig

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read what the provider needs; raise ``SettingError``."""
        decode = WorkersConfig(
            namespace=required(environment, settings.DECODE_NAMESPACE),
            service=required(environment, settings.DECODE_SERVICE),
            status_port=_port(environment, settings.DECODE_STATUS_PORT),
            secret_arn=required(environment, settings.DECODE_SECRET_ARN),
        )
        return cls(prefill=_prefill(environment), decode=decode)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAIConfig:
    """Configure text handoff to OpenAI-compatible endpoints, which share a key."""

    endpoints: tuple[str, ...]
    model: str
    secret_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read what the provider needs; raise ``SettingError``."""
        return cls(
            endpoints=_base_urls(environment, settings.DECODE_ENDPOINTS),
            model=required(environment, settings.DECODE_MODEL),
            secret_arn=required(environment, settings.DECODE_SECRET_ARN),
        )

    @classmethod
    def spilled_over_to(cls, environment: Mapping[str, str]) -> Self | None:
        """Read where requests spill over to, None where that is nowhere; raise ``SettingError``."""
        if not environment.get(settings.SPILL_OVER_ENDPOINTS):
            return None
        return cls(
            endpoints=_base_urls(environment, settings.SPILL_OVER_ENDPOINTS),
            model=required(environment, settings.SPILL_OVER_MODEL),
            secret_arn=required(environment, settings.SPILL_OVER_SECRET_ARN),
        )


ProviderConfig = Cs3Config | VllmConfig | OpenAIConfig

_PROVIDERS: Mapping[str, type[Cs3Config] | type[VllmConfig] | type[OpenAIConfig]] = {
    "cs3": Cs3Config,
    "vllm": VllmConfig,
    "openai": OpenAIConfig,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayConfig:
    """Configure the gateway: ``model`` is the public name, secrets are named by their ARN, ``tokenizer`` by S3's URI.

    ``service`` of ``namespace`` is where ECS registers the gateway's own tasks in Cloud Map.
    """

    deployment: str
    region: str
    model: str
    max_model_len: int
    tokenizer: str | None
    port: int
    metrics_port: int
    namespace: str
    service: str
    tenants_secret_arn: str
    agentcore_secret_arn: str | None
    admission: AdmissionConfig
    provider: ProviderConfig
    spill_over: OpenAIConfig | None
    thresholds: Thresholds

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read everything; raise ``SettingError`` on the first variable that is missing or unusable."""
        return cls(
            deployment=required(environment, settings.DEPLOYMENT),
            region=required(environment, "AWS_REGION"),
            model=required(environment, settings.MODEL),
            max_model_len=required_int(environment, settings.MAX_MODEL_LEN),
            tokenizer=environment.get(settings.TOKENIZER) or None,
            port=_port(environment, settings.LISTEN_PORT),
            metrics_port=_port(environment, settings.METRICS_PORT),
            namespace=required(environment, settings.GATEWAY_NAMESPACE),
            service=required(environment, settings.GATEWAY_SERVICE),
            tenants_secret_arn=required(environment, settings.TENANTS_SECRET_ARN),
            agentcore_secret_arn=environment.get(settings.AGENTCORE_SECRET_ARN) or None,
            admission=_admission(environment),
            provider=_provider(environment),
            spill_over=OpenAIConfig.spilled_over_to(environment),
            thresholds=Thresholds(
                new_tokens=required_int(environment, settings.NEW_TOKENS),
                new_share=required_share(environment, settings.NEW_SHARE),
            ),
        )


def _provider(environment: Mapping[str, str]) -> ProviderConfig:
    name = required(environment, settings.DECODE_PROVIDER)
    if name not in _PROVIDERS:
        known = ", ".join(_PROVIDERS)
        raise SettingError(f"environment variable {settings.DECODE_PROVIDER} is {name!r}: one of {known} is needed")
    return _PROVIDERS[name].from_environment(environment)


def _admission(environment: Mapping[str, str]) -> AdmissionConfig:
    try:
        return AdmissionConfig.load(required(environment, settings.ADMISSION))
    except ValueError as error:
        if isinstance(error, SettingError):
            raise
        raise SettingError(f"environment variable {settings.ADMISSION} cannot be used: {error}") from error


def _prefill(environment: Mapping[str, str]) -> WorkersConfig:
    return WorkersConfig(
        namespace=required(environment, settings.PREFILL_NAMESPACE),
        service=required(environment, settings.PREFILL_SERVICE),
        status_port=_port(environment, settings.PREFILL_STATUS_PORT),
        secret_arn=required(environment, settings.PREFILL_SECRET_ARN),
    )


def _port(environment: Mapping[str, str], name: str) -> int:
    port = required_int(environment, name)
    if port > 65535:
        raise SettingError(f"environment variable {name} is {port}: a port of 1 to 65535 is needed")
    return port


def _base_urls(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(_base_url(name, value.rstrip("/")) for value in required_list(environment, name))


def _base_url(name: str, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.path.endswith("/v1"):
        raise SettingError(
            f"environment variable {name} holds {value!r}: a base URL such as https://host is needed, no /v1"
        )
    return value
