"""Deploy the gateway and wire it to its peers."""

from __future__ import annotations

from constructs import Construct

from constructs.decode.endpoint import DecodeEndpoint
from constructs.gateway.service import GatewayService
from constructs.serving.workers import VllmWorkers
from stacks.base import DeploymentStack
from stacks.network import NetworkStack
from stacks.storage import StorageStack
from tandem.spec.deployment import Deployment


class GatewayStack(DeploymentStack):
    """Hold the gateway's service and load balancer."""

    kind = "gateway"

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        *,
        network: NetworkStack,
        storage: StorageStack,
        prefill: VllmWorkers | None,
        decode: VllmWorkers | DecodeEndpoint,
    ) -> None:
        super().__init__(scope, deployment)
        self.gateway = GatewayService(
            self,
            "Gateway",
            vpc=network.vpc,
            namespace=network.namespace,
            deployment=deployment,
            access_logs=storage.artifacts.access_logs,
            encryption_key=storage.key,
            log_retention=self.log_retention,
        )
        if prefill:
            self.gateway.use_prefill(prefill)
        if isinstance(decode, DecodeEndpoint):
            self.gateway.use_decode_endpoint(decode)
        else:
            self.gateway.use_decode_workers(decode)
