"""Store what is expensive to lose: weights and compiled artifacts (NEFF)."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from constructs.review.acknowledge import acknowledge


class ArtifactBucket(Construct):
    """Hold a versioned, encrypted, retained bucket, and one for access logs, which load balancers write to as well."""

    def __init__(self, scope: Construct, construct_id: str, *, access_log_retention: Duration) -> None:
        super().__init__(scope, construct_id)
        self.key = kms.Key(self, "Key", enable_key_rotation=True, removal_policy=RemovalPolicy.RETAIN)
        self.access_logs = s3.Bucket(
            self,
            "AccessLogs",
            # load balancers cannot write to a bucket that is encrypted with a customer's KMS key
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=access_log_retention,
                    noncurrent_version_expiration=access_log_retention,
                )
            ],
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(
            self.access_logs,
            AwsSolutions_S1="a bucket that logs its own log writes never comes to rest",
            NIST_S3BucketLoggingEnabled="a bucket that logs its own log writes never comes to rest",
            NIST_S3DefaultEncryptionKMS="load balancers write to no bucket with a customer's key",
            NIST_S3BucketReplicationEnabled="access logs serve inquiries for days, and are no archive",
        )
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            removal_policy=RemovalPolicy.RETAIN,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix="artifacts/",
        )
        acknowledge(
            self.bucket,
            NIST_S3BucketReplicationEnabled="weights have their source elsewhere, and artifacts are compiled again",
        )
