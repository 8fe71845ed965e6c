"""Deploy what must outlive everything else: artifacts, keys, and the record of their use."""

from __future__ import annotations

from aws_cdk import Duration
from constructs import Construct

from constructs.storage.artifacts import ArtifactBucket
from constructs.storage.audit import AuditTrail
from constructs.storage.key import DeploymentKey
from stacks.base import DeploymentStack
from tandem.spec.deployment import Deployment


class StorageStack(DeploymentStack):
    """Hold retained buckets and keys; the stack itself is protected from deletion."""

    kind = "storage"

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        super().__init__(scope, deployment, termination_protection=True)
        trail = f"{deployment.name}-audit" if deployment.audit.trail == "own" else None
        self.key = DeploymentKey(self, "Key", deployment=deployment.name, trail=trail).key
        self.artifacts = ArtifactBucket(
            self, "Artifacts", access_log_retention=Duration.days(deployment.observability.log_retention_days)
        )
        if trail:
            AuditTrail(
                self,
                "Audit",
                name=trail,
                artifacts=self.artifacts.bucket,
                access_logs=self.artifacts.access_logs,
                encryption_key=self.key,
                retention=Duration.days(deployment.audit.retention_days),
            )
