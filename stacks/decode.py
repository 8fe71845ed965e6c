"""Deploy the decode side: an endpoint elsewhere, or vLLM workers of our own."""

from __future__ import annotations

from constructs import Construct

from constructs.decode.endpoint import DecodeEndpoint
from constructs.serving.vllm import Role
from constructs.serving.workers import VllmWorkers
from stacks.base import DeploymentStack
from stacks.network import NetworkStack
from stacks.storage import StorageStack
from tandem.spec.deployment import Cs3, Deployment, OpenAi, VllmDecode


class DecodeEndpointStack(DeploymentStack):
    """Hold what is needed to call an endpoint elsewhere: CS-3, or an OpenAI-compatible one."""

    kind = "decode"

    def __init__(
        self, scope: Construct, deployment: Deployment, decode: Cs3 | OpenAi, *, network: NetworkStack
    ) -> None:
        super().__init__(scope, deployment)
        self.endpoint = DecodeEndpoint(
            self,
            "Endpoint",
            vpc=network.vpc,
            deployment=deployment,
            endpoint=decode,
            log_retention=self.log_retention,
        )


class DecodeWorkersStack(DeploymentStack):
    """Hold vLLM workers on Trainium that consume KV."""

    kind = "decode"

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        decode: VllmDecode,
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
            role=Role.DECODE,
            model=deployment.model,
            workers=decode,
            log_retention=self.log_retention,
        )
        self.workers.grant_artifacts(storage.artifacts.bucket, storage.artifacts.key)
