"""Deploy the VPC: it lives as long as the deployment."""

from __future__ import annotations

from constructs import Construct

from constructs.network.endpoints import PrivateEndpoints
from constructs.network.vpc import InferenceVpc
from stacks.base import DeploymentStack
from stacks.storage import StorageStack
from tandem.spec.deployment import Deployment
from tandem.spec.stages import stages


class NetworkStack(DeploymentStack):
    """Hold the VPC with its EFA subnet and its load balancer subnets."""

    kind = "network"

    def __init__(self, scope: Construct, deployment: Deployment, *, storage: StorageStack) -> None:
        super().__init__(scope, deployment)
        network = InferenceVpc(
            self,
            "Network",
            network=deployment.network,
            domain=f"{deployment.name}.internal",
            encryption_key=storage.key,
            log_retention=self.log_retention,
        )
        PrivateEndpoints(
            self,
            "Endpoints",
            vpc=network.vpc,
            cidr=deployment.network.cidr,
            private_subnets=network.private_subnets,
            artifacts=storage.artifacts.bucket,
            weights=deployment.model.weights,
            tokenizer=deployment.model.tokenizer,
            workers=any(stages(deployment)),
        )
        self.vpc = network.vpc
        self.efa_subnet = network.efa_subnet
        self.placement_group = network.placement_group
        self.namespace = network.namespace
