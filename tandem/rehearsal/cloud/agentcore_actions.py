"""Answer the AgentCore control calls that moto lacks: credential providers, and gateways without a protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.bedrockagentcorecontrol.exceptions import BedrockAgentCoreControlClientError
from moto.bedrockagentcorecontrol.responses import BedrockAgentCoreControlResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.secretsmanager.models import secretsmanager_backends


def _providers(response: Any) -> dict[str, dict[str, Any]]:
    """Return the providers by name; they live on moto's backend, so that a reset forgets them."""
    state: dict[str, dict[str, Any]] = response.backend.__dict__.setdefault("embedded_api_key_providers", {})
    return state


def _create_provider(response: Any) -> ActionResult:
    params, providers = response._get_params(), _providers(response)
    name, backend = params["name"], response.backend
    if name in providers:
        raise BedrockAgentCoreControlClientError("ConflictException", f"credential provider {name} already exists")
    place = f"{backend.region_name}:{backend.account_id}"
    providers[name] = {
        "name": name,
        "credentialProviderArn": f"arn:aws:acps:{place}:token-vault/default/apikeycredentialprovider/{name}",
        "createdTime": utcnow(),
        "lastUpdatedTime": utcnow(),
        **_secret(params, backend),
    }
    return ActionResult(providers[name])


def _secret(params: dict[str, Any], backend: Any) -> dict[str, Any]:
    """Return where the key is: a secret of the account's (EXTERNAL), or one that AgentCore makes."""
    secrets = secretsmanager_backends[backend.account_id][backend.region_name]
    if params.get("apiKeySecretSource") != "EXTERNAL":
        name = f"bedrock-agentcore-identity!default/apikey/{params['name']}"
        secrets.create_managed_secret("bedrock-agentcore", name, params["apiKey"])
        return {"apiKeySecretArn": {"secretArn": secrets.secrets[name].arn}, "apiKeySecretSource": "MANAGED"}
    config = params["apiKeySecretConfig"]
    if config["secretId"] not in secrets.secrets:
        raise BedrockAgentCoreControlClientError(
            "ResourceNotFoundException", f"there is no secret {config['secretId']}"
        )
    arn = secrets.secrets[config["secretId"]].arn
    found = {"apiKeySecretArn": {"secretArn": arn}, "apiKeySecretSource": "EXTERNAL"}
    return found | ({"apiKeySecretJsonKey": config["jsonKey"]} if "jsonKey" in config else {})


def _one(response: Any) -> dict[str, Any]:
    name = response._get_params()["name"]
    if name not in _providers(response):
        raise BedrockAgentCoreControlClientError("ResourceNotFoundException", f"there is no credential provider {name}")
    return _providers(response)[name]


def _get_provider(response: Any) -> ActionResult:
    return ActionResult(_one(response))


def _delete_provider(response: Any) -> ActionResult:
    del _providers(response)[_one(response)["name"]]
    return EmptyResult()


def _list_providers(response: Any) -> ActionResult:
    return ActionResult({"credentialProviders": list(_providers(response).values())})


_GATEWAY = {
    "name": "name",
    "roleArn": "role_arn",
    "protocolType": "protocol_type",
    "authorizerType": "authorizer_type",
    "description": "description",
    "protocolConfiguration": "protocol_configuration",
    "authorizerConfiguration": "authorizer_configuration",
    "kmsKeyArn": "kms_key_arn",
    "interceptorConfigurations": "interceptor_configurations",
    "policyEngineConfiguration": "policy_engine_configuration",
    "exceptionLevel": "exception_level",
}


def _create_gateway(response: Any) -> ActionResult:
    """Do as moto does, but let ``protocolType`` be absent, as with inference targets; form the id as AWS does."""
    params, backend = response._get_params(), response.backend
    arguments = {ours: params.get(theirs) for theirs, ours in _GATEWAY.items()}
    gateway = backend.create_gateway(**arguments, tags=params.get("tags"))
    short = gateway.gateway_id
    gateway.gateway_id = f"{gateway.name.lower()}-{short}"
    gateway.gateway_arn = gateway.gateway_arn.replace(short, gateway.gateway_id)
    gateway.gateway_url = gateway.gateway_url.replace(short, gateway.gateway_id)
    backend.gateways[gateway.gateway_id] = backend.gateways.pop(short)
    return ActionResult(gateway.to_dict() | {"status": "CREATING"})


def _update_gateway(response: Any) -> ActionResult:
    """Do as moto does, but let ``protocolType`` be absent."""
    params = response._get_params()
    arguments = {ours: params.get(theirs) for theirs, ours in _GATEWAY.items()}
    gateway = response.backend.update_gateway(gateway_identifier=params["gatewayIdentifier"], **arguments)
    return ActionResult(gateway.to_dict())


_moto_create_target = BedrockAgentCoreControlResponse.create_gateway_target
_moto_update_target = BedrockAgentCoreControlResponse.update_gateway_target
_moto_get_target = BedrockAgentCoreControlResponse.get_gateway_target


def _create_target(response: Any) -> ActionResult:
    """Do as moto does, and keep what it forgets: how the target is reached privately."""
    made = _moto_create_target(response)
    told: Any = made.result
    return _with_private_endpoint(response, made, told["targetId"])


def _update_target(response: Any) -> ActionResult:
    return _with_private_endpoint(response, _moto_update_target(response), response._get_param("targetId"))


def _with_private_endpoint(response: Any, made: ActionResult, target_id: str) -> ActionResult:
    target = response.backend.get_gateway_target(response._get_param("gatewayIdentifier"), target_id)
    target.private_endpoint = response._get_params().get("privateEndpoint")
    return made


def _get_target(response: Any) -> ActionResult:
    """Do as moto does, and tell the private endpoint, too."""
    identifiers = (response._get_param("gatewayIdentifier"), response._get_param("targetId"))
    endpoint = response.backend.get_gateway_target(*identifiers).private_endpoint
    found: Any = _moto_get_target(response).result
    return ActionResult({**found, **({"privateEndpoint": endpoint} if endpoint else {})})


ACTIONS: dict[str, Callable[[Any], ActionResult]] = {
    "create_api_key_credential_provider": _create_provider,
    "get_api_key_credential_provider": _get_provider,
    "delete_api_key_credential_provider": _delete_provider,
    "list_api_key_credential_providers": _list_providers,
    "create_gateway": _create_gateway,
    "update_gateway": _update_gateway,
    "create_gateway_target": _create_target,
    "update_gateway_target": _update_target,
    "get_gateway_target": _get_target,
}
"""Map the names by which moto's AgentCore control dispatches to what answers."""
