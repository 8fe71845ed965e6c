"""Say how Bedrock's clients reach the model: one registrar of four."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.spec.section import Section

TagKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._:/=+@-]+$", max_length=128)]
TagValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9 ._:/=+@-]*$", max_length=256)]
SageMakerEndpointArn = Annotated[
    str,
    StringConstraints(pattern=r"^arn:aws:sagemaker:[a-z0-9-]+:[0-9]{12}:endpoint/[A-Za-z0-9](-*[A-Za-z0-9]){0,62}$"),
]
HubModelArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws:sagemaker:[a-z0-9-]+:aws:hub-content/SageMakerPublicHub/Model/[^\s]+$")
]


class AgentCoreRegistration(Section):
    """Register an AgentCore Gateway inference target, reachable by Bedrock AgentCore clients (not by InvokeModel)."""

    registrar: Literal["agentcore-gateway"]


class ImportRegistration(Section):
    """Import ``model.weights`` into Bedrock as a native copy to fall back on; it takes no part in the handoff."""

    registrar: Literal["import"]
    cost_tags: dict[TagKey, TagValue] = Field(
        default_factory=dict, max_length=40, description="cost allocation tags of the imported model"
    )


class MarketplaceRegistration(Section):
    """Register a SageMaker endpoint that serves a model of the public hub, so that InvokeModel reaches it."""

    registrar: Literal["marketplace"]
    endpoint_arn: SageMakerEndpointArn
    model_source: Annotated[HubModelArn, Field(description="the model of SageMaker's public hub on that endpoint")]


class NoRegistration(Section):
    """Register nowhere: clients use the load balancer."""

    registrar: Literal["none"]


Registration = Annotated[
    AgentCoreRegistration | ImportRegistration | MarketplaceRegistration | NoRegistration,
    Field(discriminator="registrar"),
]
