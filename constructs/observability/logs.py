"""Keep what a program prints."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct


def program_logs(scope: Construct, retention: logs.RetentionDays, encryption_key: kms.IKey) -> logs.LogGroup:
    """Return the encrypted log group of the programs of ``scope``, which goes with its stack."""
    return logs.LogGroup(
        scope, "Logs", retention=retention, encryption_key=encryption_key, removal_policy=RemovalPolicy.DESTROY
    )
