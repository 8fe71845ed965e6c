"""Record who used the artifacts, the secrets and the keys."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from constructs.review.acknowledge import acknowledge

_WRITER = "cloudtrail.amazonaws.com"


def trail_arn(name: str) -> str:
    """Return the ARN of the trail ``name``, by which policies admit it before it exists."""
    return f"arn:{Aws.PARTITION}:cloudtrail:{Aws.REGION}:{Aws.ACCOUNT_ID}:trail/{name}"


class AuditTrail(Construct):
    """Hold a CloudTrail trail and its bucket, retained: calls of the region's APIs, and of ``artifacts`` each object.

    Calls of APIs hold each reading of a secret and each use of a key. Digest files tell whether a record was changed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        artifacts: s3.IBucket,
        access_logs: s3.IBucket,
        encryption_key: kms.IKey,
        retention: Duration,
    ) -> None:
        super().__init__(scope, construct_id)
        bucket = self._bucket(access_logs, encryption_key, retention)
        trail = cloudtrail.CfnTrail(
            self,
            "Trail",
            trail_name=name,
            s3_bucket_name=bucket.bucket_name,
            kms_key_id=encryption_key.key_arn,
            is_logging=True,
            enable_log_file_validation=True,
            event_selectors=[_everything_and_objects_of(artifacts)],
        )
        trail.node.add_dependency(_admit(bucket, name))
        acknowledge(
            trail,
            NIST_CloudTrailCloudWatchLogsEnabled="records are read in an inquiry, from the bucket; alarms watch "
            "metrics",
        )

    def _bucket(self, access_logs: s3.IBucket, key: kms.IKey, retention: Duration) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[s3.LifecycleRule(expiration=retention, noncurrent_version_expiration=retention)],
            removal_policy=RemovalPolicy.RETAIN,
            server_access_logs_bucket=access_logs,
            server_access_logs_prefix="audit/",
        )
        acknowledge(bucket, NIST_S3BucketReplicationEnabled="versions and digests guard the records within the region")
        return bucket


def _everything_and_objects_of(bucket: s3.IBucket) -> cloudtrail.CfnTrail.EventSelectorProperty:
    objects = cloudtrail.CfnTrail.DataResourceProperty(type="AWS::S3::Object", values=[bucket.arn_for_objects("")])
    return cloudtrail.CfnTrail.EventSelectorProperty(
        include_management_events=True, read_write_type="All", data_resources=[objects]
    )


def _admit(bucket: s3.Bucket, name: str) -> s3.BucketPolicy:
    """Let the trail, and no trail of anybody else's, look at the bucket and write below its prefix."""
    writer, this = [iam.ServicePrincipal(_WRITER)], {"aws:SourceArn": trail_arn(name)}
    owned = {**this, "s3:x-amz-acl": "bucket-owner-full-control"}
    below = bucket.arn_for_objects(f"AWSLogs/{Aws.ACCOUNT_ID}/*")
    for action, resource, condition in (
        ("s3:GetBucketAcl", bucket.bucket_arn, this),
        ("s3:PutObject", below, owned),
    ):
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=writer, actions=[action], resources=[resource], conditions={"StringEquals": condition}
            )
        )
    assert bucket.policy is not None  # noqa: S101 - made by the statements above
    return bucket.policy
