"""Hold the secrets by which the gateway knows who calls: tenants, and AgentCore."""

from __future__ import annotations

from aws_cdk import CfnOutput
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from constructs.review.acknowledge import acknowledge_unrotated
from constructs.secrets.rotated import KeyRotation
from runtime.handoff import settings


def tenants_secret(scope: Construct, encryption_key: kms.IKey) -> secretsmanager.Secret:
    """Make the secret of tenants without a value, so that no deployment ever writes over what operators wrote."""
    secret = secretsmanager.Secret(
        scope, "Tenants", description="Tenants, and digests of their keys", encryption_key=encryption_key
    )
    made = secret.node.default_child
    assert isinstance(made, secretsmanager.CfnSecret)  # noqa: S101 - for the type checker
    made.add_property_deletion_override("GenerateSecretString")
    acknowledge_unrotated(secret, "it holds digests; each tenant's key is rotated by `tandem tenant rotate`")
    output = CfnOutput(scope, "TenantsArn", value=secret.secret_arn, description="what `tandem tenant` writes")
    output.override_logical_id(settings.TENANTS_OUTPUT)
    return secret


def agentcore_secret(
    scope: Construct, encryption_key: kms.IKey, *, rotation_days: int, log_retention: logs.RetentionDays
) -> secretsmanager.Secret:
    """Make the key that AgentCore presents, and its rotation; JSON, since AgentCore's provider reads a field."""
    secret = secretsmanager.Secret(
        scope,
        "AgentCoreKey",
        description="What AgentCore presents to the gateway",
        encryption_key=encryption_key,
        generate_secret_string=secretsmanager.SecretStringGenerator(
            secret_string_template="{}",  # noqa: S106 - the empty document that the key is put into
            generate_string_key=settings.API_KEY_FIELD,
            exclude_punctuation=True,
            password_length=48,
        ),
    )
    KeyRotation(
        scope,
        "AgentCoreRotation",
        secret=secret,
        encryption_key=encryption_key,
        days=rotation_days,
        log_retention=log_retention,
        field=settings.API_KEY_FIELD,
    )
    return secret
