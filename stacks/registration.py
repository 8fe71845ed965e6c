"""Deploy how Bedrock clients reach the gateway."""

from __future__ import annotations

from constructs import Construct

from constructs.gateway.service import GatewayService
from constructs.registration.agentcore import AgentCoreRegistration
from stacks.base import DeploymentStack
from stacks.network import NetworkStack
from tandem.spec.deployment import Deployment


class RegistrationStack(DeploymentStack):
    """Hold the registrar that the deployment file chose."""

    kind = "registration"

    def __init__(
        self, scope: Construct, deployment: Deployment, *, network: NetworkStack, gateway: GatewayService
    ) -> None:
        super().__init__(scope, deployment)
        self.registration = AgentCoreRegistration(
            self,
            "AgentCore",
            name=deployment.name,
            model=deployment.model.id,
            endpoint=f"https://{deployment.gateway.domain}",
            vpc=network.vpc,
            load_balancer=gateway.load_balancer,
            client_key=gateway.key,
        )
