"""Answer the AgentCore control calls that moto lacks: credential providers, and gateways without a protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException
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
        raise ServiceException("ConflictException", f"credential provider {name} already exists")
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
        raise ServiceException("ResourceNotFoundException", f"there is no secret {config['secretId']}")
    arn = secrets.secrets[config["secretId"]].arn
    found = {"apiKeySecretArn": {"secretArn": arn}, "apiKeySecretSource": "EXTERNAL"}
    return found | ({"apiKeySecretJsonKey": config["jsonKey"]} if "jsonKey" in config else {})


def _one(response: Any) -> dict[str, Any]:
    name = response._get_params()["name"]
    if name not in _providers(response):
        raise ServiceException("ResourceNotFoundException", f"there is no credential provider {name}")
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


ACTIONS: dict[str, Callable[[Any], ActionResult]] = {
    "create_api_key_credential_provider": _create_provider,
    "get_api_key_credential_provider": _get_provider,
    "delete_api_key_credential_provider": _delete_provider,
    "list_api_key_credential_providers": _list_providers,
    "create_gateway": _create_gateway,
    "update_gateway": _update_gateway,
}
"""Map the names by which moto's AgentCore control dispatches to what answers."""
