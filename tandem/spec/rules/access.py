"""Check how stages fit together and how clients reach them: prefill, gateway, certificate."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.spec.decode import OpenAi
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity

_FARGATE_MEMORY_MIB = {
    256: (512, 1024, 2048),
    512: range(1024, 4096 + 1, 1024),
    1024: range(2048, 8192 + 1, 1024),
    2048: range(4096, 16384 + 1, 1024),
    4096: range(8192, 30720 + 1, 1024),
}
"""What Fargate sells with each CPU (ECS developer guide, task CPU and memory)."""


def prefill_present(deployment: Deployment) -> Iterator[Finding]:
    """Require prefill workers for a KV handoff; refuse them for a text handoff, which has no use for them."""
    text = isinstance(deployment.decode, OpenAi)
    if not text and deployment.prefill is None:
        yield Finding(
            code="prefill-missing",
            path="prefill",
            got="nothing",
            allowed=f"a prefill section for provider {deployment.decode.provider}",
            change="add one, or use provider openai",
        )
    if text and deployment.prefill is not None:
        yield Finding(
            code="prefill-unused",
            path="prefill",
            got="a prefill section",
            allowed="none for provider openai, whose endpoint prefills by itself",
            change="remove it, or use provider cs3 or vllm",
        )


def certificate_in_region(deployment: Deployment) -> Iterator[Finding]:
    """Require a certificate of the load balancer's own region and account."""
    arn = deployment.gateway.certificate_arn
    if arn is None:
        return
    region, account = arn.split(":")[3:5]
    if region != deployment.region or deployment.account not in (None, account):
        yield Finding(
            code="certificate-elsewhere",
            path="gateway.certificate_arn",
            got=f"{account} in {region}",
            allowed=f"{deployment.account or 'the account'} in {deployment.region}",
            change="name a certificate of this account and region",
        )


def plain_http_known(deployment: Deployment) -> Iterator[Finding]:
    """Warn that without a certificate prompts travel in clear inside the VPC."""
    if deployment.gateway.certificate_arn is None:
        yield Finding(
            code="plain-http",
            path="gateway.certificate_arn",
            got="nothing",
            allowed="a certificate, or plain HTTP inside the VPC",
            change="add a certificate before real prompts",
            severity=Severity.WARNING,
        )


def gateway_ports_distinct(deployment: Deployment) -> Iterator[Finding]:
    """Require a port for clients and another for metrics, which no client may see."""
    gateway = deployment.gateway
    if gateway.metrics_port == gateway.port:
        yield Finding(
            code="gateway-port-repeated",
            path="gateway.metrics_port",
            got=str(gateway.metrics_port),
            allowed=f"another port than gateway.port ({gateway.port})",
            change="change one of them",
        )


def memory_fits_cpu(deployment: Deployment) -> Iterator[Finding]:
    """Require a memory size that Fargate sells with the CPU."""
    gateway = deployment.gateway
    sold = _FARGATE_MEMORY_MIB[gateway.cpu]
    if gateway.memory_mib not in sold:
        yield Finding(
            code="gateway-memory-unavailable",
            path="gateway.memory_mib",
            got=str(gateway.memory_mib),
            allowed=f"{', '.join(map(str, sold))} for cpu {gateway.cpu}",
            change="change memory_mib or cpu",
        )
