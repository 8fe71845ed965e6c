"""Deploy the vLLM workers of one stage."""

from __future__ import annotations

from constructs import Construct

from constructs.serving.vllm import Role
from constructs.serving.workers import VllmWorkers
from stacks.base import DeploymentStack
from stacks.network import NetworkStack
from stacks.storage import StorageStack
from tandem.spec.decode import Cs3
from tandem.spec.deployment import Deployment
from tandem.spec.workers import Prefill, Workers


class WorkersStack(DeploymentStack):
    """Hold vLLM workers on Trainium that may fill the artifact bucket; ``role`` is their side of the handoff."""

    role: Role

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        workers: Workers,
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
            deployment=deployment.name,
            role=self.role,
            model=deployment.model,
            workers=workers,
            encryption_key=storage.key,
            artifacts=storage.artifacts,
            rotation_days=deployment.secrets.rotation_days,
            log_retention=self.log_retention,
        )
        if isinstance(workers, Prefill):
            self.workers.follow_prompts(workers, reserved=isinstance(deployment.decode, Cs3))
        if self.role is Role.PREFILL and isinstance(deployment.decode, Cs3):
            self.workers.allow_readers_from(deployment.decode.peer_cidr)


class PrefillStack(WorkersStack):
    """Hold workers that produce KV."""

    kind, role = "prefill", Role.PREFILL


class DecodeWorkersStack(WorkersStack):
    """Hold workers that consume KV."""

    kind, role = "decode", Role.DECODE
