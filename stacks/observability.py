"""Deploy the dashboard and the alarms."""

from __future__ import annotations

from constructs import Construct

from constructs.decode.endpoint import DecodeEndpoint
from constructs.gateway.service import GatewayService
from constructs.observability.alarms import DeploymentAlarms
from constructs.observability.dashboard import DeploymentDashboard
from constructs.serving.workers import VllmWorkers
from stacks.base import DeploymentStack
from tandem.spec.deployment import Deployment


class ObservabilityStack(DeploymentStack):
    """Hold the alarms and one dashboard for the whole deployment."""

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
        self.alarms = DeploymentAlarms(
            self, "Alarms", deployment=deployment, gateway=gateway, workers=workers, probe=probe
        )
        self.dashboard = DeploymentDashboard(
            self, "Overview", deployment=deployment, alarms=self.alarms.all, gateway=gateway, workers=workers
        )
