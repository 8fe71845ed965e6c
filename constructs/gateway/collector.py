"""Send the gateway's spans to X-Ray by a collector beside it."""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam

from constructs.review.acknowledge import acknowledge_finding
from runtime.handoff import settings
from tandem.spec.deployment import Deployment

IMAGE: Final = "public.ecr.aws/aws-observability/aws-otel-collector:v0.48.0"
"""AWS Distro for OpenTelemetry."""
_CONFIG: Final = "/etc/ecs/ecs-xray.yaml"
"""The image's own: takes OTLP on ports 4317 and 4318, exports to X-Ray (aws-observability/aws-otel-collector)."""
_MEMORY_MIB: Final = 256
_ACTIONS: Final = (
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:GetSamplingStatisticSummaries",
)


def trace(container: ecs.ContainerDefinition, deployment: Deployment, logging: ecs.LogDriver) -> None:
    """Let ``container`` trace a share of requests; a collector that fails takes no request with it."""
    task = container.task_definition
    task.add_container(
        "collector",
        image=ecs.ContainerImage.from_registry(IMAGE),
        command=[f"--config={_CONFIG}"],
        essential=False,
        memory_limit_mib=_MEMORY_MIB,
        logging=logging,
    )
    variables = {
        settings.TRACES_ENDPOINT: "http://localhost:4318/v1/traces",
        "OTEL_SERVICE_NAME": "tandem-gateway",
        "OTEL_RESOURCE_ATTRIBUTES": f"deployment.environment.name={deployment.name}",
        # a client that samples its own trace has its legs traced as well
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{deployment.observability.trace_ratio:g}",
    }
    for name, value in variables.items():
        container.add_environment(name, value)
    task.add_to_task_role_policy(iam.PolicyStatement(actions=list(_ACTIONS), resources=["*"]))
    acknowledge_finding(
        task.task_role,
        "AwsSolutions-IAM5[Resource::*]",
        "X-Ray's actions have no resource-level permission (Service Authorization Reference, AWS X-Ray)",
    )
