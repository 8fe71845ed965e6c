"""Deploy what is needed to call a decode endpoint elsewhere."""

from __future__ import annotations

from constructs import Construct

from constructs.decode.endpoint import DecodeEndpoint
from stacks.base import DeploymentStack
from stacks.network import NetworkStack
from stacks.storage import StorageStack
from tandem.spec.decode import Cs3, OpenAi
from tandem.spec.deployment import Deployment


class DecodeEndpointStack(DeploymentStack):
    """Hold what is needed to call an endpoint elsewhere: CS-3, or an OpenAI-compatible one."""

    kind = "decode"

    def __init__(
        self,
        scope: Construct,
        deployment: Deployment,
        decode: Cs3 | OpenAi,
        *,
        network: NetworkStack,
        storage: StorageStack,
    ) -> None:
        super().__init__(scope, deployment)
        self.endpoint = DecodeEndpoint(
            self,
            "Endpoint",
            vpc=network.vpc,
            deployment=deployment,
            endpoint=decode,
            encryption_key=storage.key,
            log_retention=self.log_retention,
        )
