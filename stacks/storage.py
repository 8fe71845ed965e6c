"""Deploy what must outlive everything else: the artifact bucket and its key."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from constructs.storage.artifacts import ArtifactBucket
from stacks.base import DeploymentStack
from tandem.spec.deployment import Deployment


class StorageStack(DeploymentStack):
    """Hold retained buckets; the stack itself is protected from deletion."""

    kind = "storage"

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        super().__init__(scope, deployment, termination_protection=True)
        self.artifacts = ArtifactBucket(
            self, "Artifacts", access_log_retention=Duration.days(deployment.observability.log_retention_days)
        )
