"""Deploy what must outlive everything else: the artifact bucket, and the keys."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from constructs.storage.artifacts import ArtifactBucket
from constructs.storage.key import DeploymentKey
from stacks.base import DeploymentStack
from tandem.spec.deployment import Deployment


class StorageStack(DeploymentStack):
    """Hold retained buckets and keys; the stack itself is protected from deletion."""

    kind = "storage"

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        super().__init__(scope, deployment, termination_protection=True)
        self.key = DeploymentKey(self, "Key", deployment=deployment.name).key
        self.artifacts = ArtifactBucket(
            self, "Artifacts", access_log_retention=Duration.days(deployment.observability.log_retention_days)
        )
