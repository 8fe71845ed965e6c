"""Say where a group's compiled artifacts are kept: one place for each (model, shape, image), and who may fill it."""

from __future__ import annotations

import hashlib
import json
import re

from aws_cdk import Stack
from aws_cdk import aws_iam as iam

from constructs.review.acknowledge import acknowledge_finding
from constructs.serving.vllm import KV_TRANSFER_CONFIG, Launch
from constructs.storage.artifacts import ArtifactBucket

PREFIXES = ("neff", "recovery")
"""What workers keep in the bucket: compiled artifacts, and which host a group gave up last."""
_APART = ("--port=", "--served-model-name=", f"{KV_TRANSFER_CONFIG}=")
"""Flags that change no graph. All others count: at worst something is compiled that need not be."""


def compile_key(launch: Launch) -> str:
    """Return the name of what decides a compilation, but for the SDK's versions, which the worker alone knows."""
    model, flags = launch.model, [flag for flag in launch.command if not flag.startswith(_APART)]
    rest = [launch.role.value, model.kv_connector, model.weights, launch.kind.name, launch.workers.image]
    digest = hashlib.sha256(json.dumps([*flags, *rest]).encode()).hexdigest()[:16]
    return f"{re.sub(r'[^a-z0-9]+', '-', model.id.lower())}-{digest}"


def grant_artifacts(role: iam.IRole, artifacts: ArtifactBucket) -> None:
    """Let a task's ``role`` read and write what workers keep in the bucket, and delete nothing."""
    bucket = artifacts.bucket
    objects = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    statements = [
        iam.PolicyStatement(actions=objects, resources=[bucket.arn_for_objects(f"{each}/*") for each in PREFIXES]),
        # without it S3 answers 403, not 404, for what is not there
        iam.PolicyStatement(actions=["s3:ListBucket"], resources=[bucket.bucket_arn]),
        iam.PolicyStatement(actions=["kms:Decrypt", "kms:GenerateDataKey"], resources=[artifacts.key.key_arn]),
    ]
    for statement in statements:
        role.add_to_principal_policy(statement)
    producer = Stack.of(bucket)
    export = producer.resolve(producer.export_value(bucket.bucket_arn))["Fn::ImportValue"]
    for prefix in PREFIXES:
        finding = f"AwsSolutions-IAM5[Resource::{export}/{prefix}/*]"
        acknowledge_finding(role, finding, "workers share what is compiled, and what they know of their hosts")
