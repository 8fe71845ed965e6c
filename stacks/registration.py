"""Deploy how Bedrock clients reach the gateway, or what they reach in its place."""

from __future__ import annotations

from typing import assert_never

from constructs import Construct

from constructs.gateway.service import GatewayService
from constructs.registration.agentcore import AgentCoreRegistration
from constructs.registration.marketplace import MarketplaceRegistration
from constructs.registration.model_import import ModelImport
from stacks.base import DeploymentStack
from stacks.network import NetworkStack
from stacks.storage import StorageStack
from tandem.spec import registration as chosen
from tandem.spec.deployment import Deployment


class RegistrationStack(DeploymentStack):
    """Hold the registrar that the deployment file chose."""

    kind = "registration"

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        *,
        network: NetworkStack,
        storage: StorageStack,
        gateway: GatewayService,
    ) -> None:
        super().__init__(scope, deployment)
        match deployment.registration:
            case chosen.AgentCoreRegistration():
                self._agentcore(deployment, network, gateway)
            case chosen.ImportRegistration(cost_tags=cost_tags):
                ModelImport(
                    self,
                    "Import",
                    name=deployment.name,
                    weights=_weights(deployment),
                    cost_tags=cost_tags,
                    model_key=storage.artifacts.key,
                    encryption_key=storage.key,
                    log_retention=self.log_retention,
                )
            case chosen.MarketplaceRegistration(endpoint_arn=endpoint_arn, model_source=model_source):
                MarketplaceRegistration(
                    self,
                    "Marketplace",
                    endpoint_arn=endpoint_arn,
                    model_source=model_source,
                    encryption_key=storage.key,
                    log_retention=self.log_retention,
                )
            case chosen.NoRegistration():
                raise ValueError("registrar none has no stack: leave this one out")
            case never:
                assert_never(never)

    def _agentcore(self, deployment: Deployment, network: NetworkStack, gateway: GatewayService) -> None:
        AgentCoreRegistration(
            self,
            "AgentCore",
            name=deployment.name,
            model=deployment.model.id,
            endpoint=f"https://{deployment.gateway.domain}",
            vpc=network.vpc,
            load_balancer=gateway.load_balancer,
            client_key=gateway.admit_agentcore(),
        )


def _weights(deployment: Deployment) -> str:
    if deployment.model.weights is None:
        raise ValueError("registrar import has no model.weights: the rules refuse such a file")
    return deployment.model.weights
