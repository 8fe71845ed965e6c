"""Deploy the dashboard and the alarms."""

from __future__ import annotations

from constructs import Construct

from constructs.decode.endpoint import DecodeEndpoint
from constructs.gateway.service import GatewayService
from constructs.observability.dashboard import DeploymentDashboard
from constructs.serving.workers import VllmWorkers
from stacks.base import DeploymentStack
from tandem.spec.deployment import Deployment


class ObservabilityStack(DeploymentStack):
    """Hold one dashboard for the whole deployment."""

    kind = "observability"

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        *,
        gateway: GatewayService,
        prefill: VllmWorkers | None,
        decode: VllmWorkers | DecodeEndpoint,
    ) -> None:
        super().__init__(scope, deployment)
        workers = [stage for stage in (prefill, decode) if isinstance(stage, VllmWorkers)]
        probe = decode.probe if isinstance(decode, DecodeEndpoint) else None
        self.dashboard = DeploymentDashboard(self, "Overview", gateway=gateway, workers=workers, probe=probe)
