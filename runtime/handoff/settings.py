"""Name the environment variables by which a deployment configures its programs.

Constructs write them and programs read them; nothing else spells them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

DEPLOYMENT: Final = "TANDEM_DEPLOYMENT"
"""The deployment's name, by which its metrics are told apart."""
MODEL: Final = "TANDEM_MODEL"
"""The model's public name."""
MAX_MODEL_LEN: Final = "TANDEM_MAX_MODEL_LEN"
"""Tokens of prompt and answer together."""
TOKENIZER: Final = "TANDEM_TOKENIZER"
"""Where the model's ``tokenizer.json`` is, ``s3://bucket/key``; absent where prompts are to be estimated."""
LISTEN_PORT: Final = "TANDEM_LISTEN_PORT"
"""The port the gateway listens on."""
METRICS_PORT: Final = "TANDEM_METRICS_PORT"
"""The port where Prometheus may scrape the gateway; no load balancer forwards to it."""
TENANTS_SECRET_ARN: Final = "TANDEM_TENANTS_SECRET_ARN"  # noqa: S105 - a name
"""The secret that holds tenants and digests of their keys."""
AGENTCORE_SECRET_ARN: Final = "TANDEM_AGENTCORE_SECRET_ARN"  # noqa: S105 - a name
"""The secret that holds the key of AgentCore's calls, as JSON; absent where it is not registered there."""
ADMISSION: Final = "TANDEM_ADMISSION"
"""The gateway's bounds and its tenants' limits, as JSON: the deployment file's section, and how many tasks at first."""
GATEWAY_NAMESPACE: Final = "TANDEM_GATEWAY_NAMESPACE"
"""The Cloud Map namespace where ECS registers the gateway's own tasks."""
GATEWAY_SERVICE: Final = "TANDEM_GATEWAY_SERVICE"
"""Their Cloud Map service."""
PREFILL_NAMESPACE: Final = "TANDEM_PREFILL_NAMESPACE"
"""The Cloud Map namespace of the prefill workers; absent where there are none."""
PREFILL_SERVICE: Final = "TANDEM_PREFILL_SERVICE"
"""Their Cloud Map service."""
PREFILL_STATUS_PORT: Final = "TANDEM_PREFILL_STATUS_PORT"
"""The ``STATUS_PORT`` of prefill workers."""
WORKER_SECRET_ARN: Final = "TANDEM_WORKER_SECRET_ARN"  # noqa: S105 - a name
"""The secret that is the key by which a worker and its gateways know each other, as the worker is told it."""
PREFILL_SECRET_ARN: Final = "TANDEM_PREFILL_SECRET_ARN"  # noqa: S105 - a name
"""The secret that is the key of the prefill workers."""
NEURON_DEVICES: Final = "TANDEM_NEURON_DEVICES"
"""How many Neuron devices the construct gives a worker: ``/dev/neuron0`` and on."""
EFA_INTERFACES: Final = "TANDEM_EFA_INTERFACES"
"""How many EFA interfaces it gives a worker: ``/dev/infiniband/uverbs0`` and on."""
HOST_ROOT: Final = "TANDEM_HOST_ROOT"
"""The folder that holds the host's devices and volumes; only a rehearsal sets it, since those are stand-ins."""
STAGE: Final = "TANDEM_STAGE"
"""The worker's stage, ``prefill`` or ``decode``, by which its metrics are told apart."""
STATUS_PORT: Final = "TANDEM_STATUS_PORT"
"""The port where a worker tells whether it takes requests (``worker_status``)."""
START_SECONDS: Final = "TANDEM_START_SECONDS"
"""How long vLLM may take until it serves where it compiles; a first compilation takes over an hour."""
WARM_START_SECONDS: Final = "TANDEM_WARM_START_SECONDS"
"""How long vLLM may take until it serves where compiled artifacts are at hand."""
DRAIN_SECONDS: Final = "TANDEM_DRAIN_SECONDS"
"""How long a worker that is to stop waits for its requests and for readers of its KV."""
LOCAL_FOLDER: Final = "/var/lib/tandem"
"""The host's folder for weights and compiled artifacts, which outlives a worker: the next one fetches nothing anew."""
WEIGHTS: Final = "TANDEM_WEIGHTS"
"""Where a worker fetches its weights, ``s3://bucket/prefix``; absent where they come from the hub."""
ARTIFACTS: Final = "TANDEM_ARTIFACTS"
"""Where compiled artifacts are kept, ``s3://bucket/neff/key``; the key is that of model and shape, the worker adds that
of its SDK."""
RECOVERY: Final = "TANDEM_RECOVERY"
"""Where a group records the last host that it gave up, ``s3://bucket/recovery/stage/group``."""
TRANSPORT: Final = "TANDEM_TRANSPORT"
"""What stand-ins move KV by (``runtime.handoff.transport.choose``), UCX if absent; vLLM is told in its own words."""
KV_LEASE_SECONDS: Final = "TANDEM_KV_LEASE_SECONDS"
"""How long a prefill worker holds a request's KV blocks for a reader."""
DECODE_PROVIDER: Final = "TANDEM_DECODE_PROVIDER"
"""``cs3``, ``vllm`` or ``openai``."""
DECODE_ENDPOINTS: Final = "TANDEM_DECODE_ENDPOINTS"
"""The base URLs of the decode endpoints, between commas; absent where workers are discovered."""
DECODE_NAMESPACE: Final = "TANDEM_DECODE_NAMESPACE"
"""The Cloud Map namespace of vLLM decode workers."""
DECODE_SERVICE: Final = "TANDEM_DECODE_SERVICE"
"""Their Cloud Map service."""
DECODE_STATUS_PORT: Final = "TANDEM_DECODE_STATUS_PORT"
"""The ``STATUS_PORT`` of vLLM decode workers."""
DECODE_MODEL: Final = "TANDEM_DECODE_MODEL"
"""The model's name at the decode endpoint."""
SPILL_OVER_ENDPOINTS: Final = "TANDEM_SPILL_OVER_ENDPOINTS"
"""The base URLs of another provider's endpoints, between commas, which take text where decode can take no more."""
SPILL_OVER_MODEL: Final = "TANDEM_SPILL_OVER_MODEL"
"""The model's name there."""
SPILL_OVER_SECRET_ARN: Final = "TANDEM_SPILL_OVER_SECRET_ARN"  # noqa: S105 - a name
"""The secret that holds their key, as JSON."""
NEW_TOKENS: Final = "TANDEM_NEW_TOKENS"
"""From how many tokens that a decode worker has not cached KV is handed over."""
NEW_SHARE: Final = "TANDEM_NEW_SHARE"
"""From which share of a prompt, 0 to 1."""
DECODE_KEY: Final = "TANDEM_DECODE_KEY"
"""The key of the decode endpoint, as its stand-in is told it (secret)."""
TICKET_KEY: Final = "TANDEM_TICKET_KEY"
"""The key that tickets are signed with, as the stand-in of a decode endpoint is told it (secret)."""
TICKET_SECRET_ARN: Final = "TANDEM_TICKET_SECRET_ARN"  # noqa: S105 - a name
"""The secret that is the key of tickets, known to gateway and decode endpoint."""

PREVIOUS_TICKET_KEY: Final = "TANDEM_PREVIOUS_TICKET_KEY"
"""The key that the one before replaced, which a decode endpoint accepts as well; absent between rotations (secret)."""

DECODE_SECRET_ARN: Final = "TANDEM_DECODE_SECRET_ARN"  # noqa: S105 - a name
"""The secret that holds the key of the decode endpoint, as JSON; for decode workers, the secret that is their key."""
API_KEY_FIELD: Final = "api_key"
"""The field of that secret, and of AgentCore's, that is the key."""
SECRET_FIELD: Final = "TANDEM_SECRET_FIELD"  # noqa: S105 - a name
"""The field of a secret in JSON that its rotation replaces; absent where the secret is the key itself."""
DECODE_SECRET_OUTPUT: Final = "DecodeSecretArn"  # noqa: S105 - a name
"""The output of the decode stack that names that secret."""
TENANTS_OUTPUT: Final = "TenantsSecretArn"
"""The output of the gateway's stack that names the secret of tenants, which ``tandem tenant`` writes."""
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
"""OpenTelemetry's own: where spans are sent, by OTLP over HTTP; absent where nothing is traced."""


CONNECTOR_MODULE: Final = "runtime.connector.nixl"
"""The module of vLLM's NIXL connector that seals what a prefill worker hands over (``kv_connector_module_path``)."""


class SettingError(ValueError):
    """Name the environment variable that is missing or unusable."""


def required(environment: Mapping[str, str], name: str) -> str:
    """Return a variable's value; raise ``SettingError`` where it is absent or empty."""
    value = environment.get(name, "")
    if not value:
        raise SettingError(f"environment variable {name} is not set: the task definition must supply it")
    return value


def required_int(environment: Mapping[str, str], name: str) -> int:
    """Return a variable's value as a positive integer; raise ``SettingError`` where it is none."""
    value = required(environment, name)
    if not value.isdecimal() or int(value) == 0:
        raise SettingError(f"environment variable {name} is {value!r}: a positive whole number is needed")
    return int(value)


def required_share(environment: Mapping[str, str], name: str) -> float:
    """Return a variable's value as a share of 0 to 1; raise ``SettingError`` where it is none."""
    value = required(environment, name)
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingError(f"environment variable {name} is {value!r}: a number of 0 to 1 is needed")
    return share


def required_list(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return what stands between the commas of a variable's value, without blanks; raise ``SettingError``."""
    return tuple(each.strip() for each in required(environment, name).split(",") if each.strip())


def api_key(secret: str) -> str | None:
    """Return the field ``API_KEY_FIELD`` of a secret's value; None where it is not JSON with such a text."""
    try:
        key = json.loads(secret)[API_KEY_FIELD]
    except (ValueError, LookupError, TypeError):
        return None
    return key if isinstance(key, str) and key else None
