"""Deploy the prefill workers."""

from __future__ import annotations

from constructs import Construct

from constructs.serving.vllm import Role
from constructs.serving.workers import VllmWorkers
from stacks.base import DeploymentStack
from stacks.network import NetworkStack
from stacks.storage import StorageStack
from tandem.spec.deployment import Cs3, Deployment, Workers


class PrefillStack(DeploymentStack):
    """Hold vLLM workers on Trainium that produce KV."""

    kind = "prefill"

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        prefill: Workers,
        *,
        network: NetworkStack,
        storage: StorageStack,
    ) -> None:
        super().__init__(scope, deployment)
        self.workers = VllmWorkers(
            self,
            "Workers",
            vpc=network.vpc,
            subnet=network.efa_subnet,
            placement_group=network.placement_group,
            namespace=network.namespace,
            role=Role.PREFILL,
            model=deployment.model,
            workers=prefill,
            log_retention=self.log_retention,
        )
        self.workers.grant_artifacts(storage.artifacts.bucket, storage.artifacts.key)
        if isinstance(deployment.decode, Cs3):
            self.workers.allow_readers_from(deployment.decode.peer_cidr)
