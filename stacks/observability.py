"""Deploy the dashboard and the alarms."""

from __future__ import annotations

from constructs import Construct
from constructs.decode.probe import EndpointProbe
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
        workers: dict[str, VllmWorkers],
        probe: EndpointProbe | None,
    ) -> None:
        super().__init__(scope, deployment)
        self.dashboard = DeploymentDashboard(self, "Overview", gateway=gateway, workers=workers, probe=probe)
