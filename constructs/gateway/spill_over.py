"""Keep the key of the provider that requests spill over to."""

from __future__ import annotations

from aws_cdk import CfnOutput, SecretValue
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs.review.acknowledge import acknowledge_unrotated
from runtime.handoff import settings
from tandem.spec.gateway import SpillOver


def spill_over_secret(scope: Construct, spare: SpillOver, encryption_key: kms.IKey) -> secretsmanager.Secret:
    """Return the secret, JSON whose ``api_key`` an operator replaces by what the provider issued."""
    secret = secretsmanager.Secret(
        scope,
        "SpillOverKey",
        description=f"Key of {spare.endpoint}, to which requests spill over",
        encryption_key=encryption_key,
        secret_object_value={settings.API_KEY_FIELD: SecretValue.unsafe_plain_text("to-be-replaced")},
    )
    acknowledge_unrotated(secret, "the provider issues the key, so no function can rotate it")
    CfnOutput(scope, "SpillOverSecretArn", value=secret.secret_arn, description="where the provider's key is to be put")
    return secret
