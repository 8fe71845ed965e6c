"""Bedrock AgentCore: gateways, their targets, and credential providers, as the service model checks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.resource import Resource

_SERVICE = "bedrock-agentcore-control"


class Gateway(Resource):
    """A gateway."""

    type, name_property = "AWS::BedrockAgentCore::Gateway", "Name"

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        made = self.call(_SERVICE, "create_gateway", self.named)
        self.physical_resource_id = made["gatewayId"]
        self.attributes = {
            "GatewayArn": made["gatewayArn"],
            "GatewayIdentifier": made["gatewayId"],
            "GatewayUrl": made["gatewayUrl"],
            "Name": self.name,
            "Status": "READY",
        }

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        if self.properties.get("Name") != properties.get("Name"):
            super().update(properties)
            return
        self.properties = dict(properties)
        gateway = {**self.without("Tags"), "GatewayIdentifier": self.physical_resource_id}
        self.call(_SERVICE, "update_gateway", gateway)

    def delete(self) -> None:  # noqa: D102
        self.call(_SERVICE, "delete_gateway", {"GatewayIdentifier": self.physical_resource_id})


class GatewayTarget(Resource):
    """A target of a gateway, such as an inference provider."""

    type, name_property = "AWS::BedrockAgentCore::GatewayTarget", "Name"

    def create(self) -> None:  # noqa: D102
        self.require("GatewayIdentifier", "TargetConfiguration")
        made = self.call(_SERVICE, "create_gateway_target", self.named)
        self.physical_resource_id = f"{made['gatewayArn']}|{made['targetId']}"
        self.attributes = {"GatewayArn": made["gatewayArn"], "TargetId": made["targetId"], "Status": "READY"}

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        if self.properties["GatewayIdentifier"] != properties["GatewayIdentifier"]:
            super().update(properties)
            return
        self.properties = dict(properties)
        self.call(_SERVICE, "update_gateway_target", {**self.named, "TargetId": self.attributes["TargetId"]})

    def delete(self) -> None:  # noqa: D102
        target = {"GatewayIdentifier": self.properties["GatewayIdentifier"], "TargetId": self.attributes["TargetId"]}
        self.call(_SERVICE, "delete_gateway_target", target)


class ApiKeyCredentialProvider(Resource):
    """A credential provider that holds an API key in a secret of its own."""

    type, name_property = "AWS::BedrockAgentCore::ApiKeyCredentialProvider", "Name"

    def create(self) -> None:  # noqa: D102
        made = self.call(_SERVICE, "create_api_key_credential_provider", self.named)
        self.physical_resource_id = self.name
        self.attributes = {
            "CredentialProviderArn": made["credentialProviderArn"],
            "ApiKeySecretArn.SecretArn": made["apiKeySecretArn"]["secretArn"],
        }

    def delete(self) -> None:  # noqa: D102
        self.call(_SERVICE, "delete_api_key_credential_provider", {"Name": self.physical_resource_id})
