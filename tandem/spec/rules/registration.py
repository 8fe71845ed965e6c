"""Check that what the deployment file registers can be registered by the registrar that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity
from tandem.spec.registration import AgentCoreRegistration, ImportRegistration, MarketplaceRegistration

_IMPORT_REGIONS = ("us-east-1", "us-east-2", "us-west-2", "eu-central-1")
"""Where Custom Model Import is offered (Bedrock user guide, feature support by Region); new ones come unannounced."""

_IMPORT_FAMILIES = ("mistral", "mixtral", "flan", "llama", "gptbigcode", "starcoder", "qwen", "gpt-oss")
"""What Custom Model Import recognizes (Bedrock user guide, supported architectures), as model names spell it."""


def agentcore_needs_https(deployment: Deployment) -> Iterator[Finding]:
    """Require a certificate and its domain: an AgentCore inference target is called by HTTPS only."""
    if not isinstance(deployment.registration, AgentCoreRegistration):
        return
    for field in ("certificate_arn", "domain"):
        if getattr(deployment.gateway, field) is None:
            yield Finding(
                code="https-required",
                path=f"gateway.{field}",
                got="nothing",
                allowed="a value, since registrar agentcore-gateway needs HTTPS",
                change="add it, or use registrar none",
            )


def agentcore_can_name_model(deployment: Deployment) -> Iterator[Finding]:
    """Require a model id that an inference target can list, character by character."""
    if not isinstance(deployment.registration, AgentCoreRegistration):
        return
    part = r"[A-Za-z0-9._@:-]+"
    if not re.fullmatch(f"{part}(/{part})*", deployment.model.id):
        yield Finding(
            code="agentcore-model-unnameable",
            path="model.id",
            got=deployment.model.id,
            allowed="letters, digits and . _ @ : - in parts separated by /",
            change="rename the model, or use registrar none",
        )


def import_has_weights(deployment: Deployment) -> Iterator[Finding]:
    """Require weights in a bucket: Bedrock imports from S3 only."""
    if isinstance(deployment.registration, ImportRegistration) and deployment.model.weights is None:
        yield Finding(
            code="import-without-weights",
            path="model.weights",
            got="nothing",
            allowed="the s3:// prefix of the weights in Hugging Face format",
            change="copy the weights to a bucket and name it, or use registrar none",
        )


def import_region_known(deployment: Deployment) -> Iterator[Finding]:
    """Warn where Custom Model Import was not offered when this was written."""
    if isinstance(deployment.registration, ImportRegistration) and deployment.region not in _IMPORT_REGIONS:
        yield Finding(
            code="import-region-unknown",
            path="region",
            got=deployment.region,
            allowed=", ".join(_IMPORT_REGIONS),
            change="look up whether Bedrock imports models there, or use registrar none",
            severity=Severity.WARNING,
        )


def import_architecture_known(deployment: Deployment) -> Iterator[Finding]:
    """Warn where the model's name tells of no architecture that Custom Model Import takes."""
    if not isinstance(deployment.registration, ImportRegistration):
        return
    name = deployment.model.id.lower()
    if not any(family in name for family in _IMPORT_FAMILIES):
        yield Finding(
            code="import-architecture-unknown",
            path="model.id",
            got=deployment.model.id,
            allowed=f"a model of one of these families: {', '.join(_IMPORT_FAMILIES)}",
            change="look up whether Bedrock takes the architecture in the model's config.json, or use registrar none",
            severity=Severity.WARNING,
        )


def cost_tags_free(deployment: Deployment) -> Iterator[Finding]:
    """Refuse tags whose names are AWS's or Tandem's own."""
    if not isinstance(deployment.registration, ImportRegistration):
        return
    for key in deployment.registration.cost_tags:
        if key.lower().startswith(("aws:", "tandem:")):
            yield Finding(
                code="cost-tag-reserved",
                path=f"registration.cost_tags.{key}",
                got=key,
                allowed="a name that begins neither with aws: nor with tandem:",
                change="rename the tag",
            )


def marketplace_endpoint_here(deployment: Deployment) -> Iterator[Finding]:
    """Require a SageMaker endpoint of the deployment's own region and account, where Bedrock is called."""
    if not isinstance(deployment.registration, MarketplaceRegistration):
        return
    region, account = deployment.registration.endpoint_arn.split(":")[3:5]
    if region != deployment.region or deployment.account not in (None, account):
        yield Finding(
            code="marketplace-endpoint-elsewhere",
            path="registration.endpoint_arn",
            got=f"{account} in {region}",
            allowed=f"{deployment.account or 'the account'} in {deployment.region}",
            change="name an endpoint of this account and region",
        )


def marketplace_source_here(deployment: Deployment) -> Iterator[Finding]:
    """Require a hub model of the deployment's own region: every region has its own public hub."""
    if not isinstance(deployment.registration, MarketplaceRegistration):
        return
    region = deployment.registration.model_source.split(":")[3]
    if region != deployment.region:
        yield Finding(
            code="marketplace-source-elsewhere",
            path="registration.model_source",
            got=f"a hub model in {region}",
            allowed=f"a hub model in {deployment.region}",
            change="name the model's ARN in this region",
        )


def copy_takes_no_part(deployment: Deployment) -> Iterator[Finding]:
    """Tell that Bedrock's route leads past the gateway: to Bedrock's own copy, or to an isolated endpoint."""
    where = {
        "import": "a copy on hardware that Bedrock chooses",
        "marketplace": "a SageMaker endpoint whose network isolation lets it call nobody",
    }.get(deployment.registration.registrar)
    if where:
        yield Finding(
            code="registration-bypasses-gateway",
            path="registration.registrar",
            got=f"{deployment.registration.registrar}: InvokeModel reaches {where}",
            allowed="that, as a fallback; agentcore-gateway to reach prefill on Trainium and decode",
            change="use agentcore-gateway if Bedrock clients are to reach this deployment",
            severity=Severity.INFO,
        )
