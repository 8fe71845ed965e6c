"""Check that a gateway's bounds suit each other, its scaling and its model."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.gateway.admission.policy import GREED
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity

_BYTES_PER_TOKEN = 8
"""More than a token takes in JSON: English and code have 3 to 5 bytes, escaped scripts 6 a character."""

_COPIES = 4
"""How often a body may be there: as it came, parsed, and as two peers are sent it."""


def scales_before_waiting(deployment: Deployment) -> Iterator[Finding]:
    """Warn where requests wait before tasks are added: one tenant alone runs four fifths of what a task takes."""
    gateway = deployment.gateway
    one_tenant = gateway.admission.running * GREED // (GREED + 1)
    if gateway.scales and gateway.streams_per_task > one_tenant:
        yield Finding(
            code="gateway-waits-before-scaling",
            path="gateway.admission.running",
            got=str(gateway.admission.running),
            allowed=f"so many that four fifths reach gateway.streams_per_task ({gateway.streams_per_task})",
            change="raise it, or lower streams_per_task",
            severity=Severity.WARNING,
        )


def body_holds_context(deployment: Deployment) -> Iterator[Finding]:
    """Warn where a body can be too large for the gateway although its prompt would fit the context."""
    admission, context = deployment.gateway.admission, deployment.model.max_model_len
    longest = min(context, admission.prompt_tokens or context)
    needed = longest * _BYTES_PER_TOKEN // 1024
    if admission.body_kib < needed:
        yield Finding(
            code="body-smaller-than-prompt",
            path="gateway.admission.body_kib",
            got=str(admission.body_kib),
            allowed=f"at least {needed}, {_BYTES_PER_TOKEN} bytes for each of {longest} tokens",
            change="raise it, or lower model.max_model_len or gateway.admission.prompt_tokens",
            severity=Severity.WARNING,
        )


def bodies_hold_largest(deployment: Deployment) -> Iterator[Finding]:
    """Refuse a bound of all bodies under which the largest one never fits."""
    admission = deployment.gateway.admission
    one_tenant = admission.bodies_mib * 1024 * GREED // (GREED + 1)
    if admission.body_kib > one_tenant:
        yield Finding(
            code="bodies-smaller-than-body",
            path="gateway.admission.bodies_mib",
            got=str(admission.bodies_mib),
            allowed=f"so many that four fifths, which one tenant may hold, reach body_kib ({admission.body_kib})",
            change="raise it, or lower body_kib",
        )


def memory_holds_bodies(deployment: Deployment) -> Iterator[Finding]:
    """Warn where bodies may exhaust a task's memory."""
    gateway = deployment.gateway
    most = gateway.memory_mib // _COPIES
    if gateway.admission.bodies_mib > most:
        yield Finding(
            code="bodies-exceed-memory",
            path="gateway.admission.bodies_mib",
            got=str(gateway.admission.bodies_mib),
            allowed=f"at most {most}, a {_COPIES}th of gateway.memory_mib ({gateway.memory_mib})",
            change="lower it, or raise memory_mib",
            severity=Severity.WARNING,
        )


def prompt_fits_context(deployment: Deployment) -> Iterator[Finding]:
    """Refuse a limit on prompts that the context makes meaningless."""
    limit, context = deployment.gateway.admission.prompt_tokens, deployment.model.max_model_len
    if limit is not None and limit > context:
        yield Finding(
            code="prompt-longer-than-context",
            path="gateway.admission.prompt_tokens",
            got=str(limit),
            allowed=f"at most model.max_model_len ({context})",
            change="lower it, or leave it out",
        )


def waits_within_request(deployment: Deployment) -> Iterator[Finding]:
    """Refuse a wait that is longer than the whole request may take."""
    admission = deployment.gateway.admission
    if admission.wait_seconds > admission.request_seconds:
        yield Finding(
            code="wait-longer-than-request",
            path="gateway.admission.wait_seconds",
            got=f"{admission.wait_seconds:g}",
            allowed=f"at most gateway.admission.request_seconds ({admission.request_seconds})",
            change="lower it, or raise request_seconds",
        )


def tenant_tokens_allow_requests(deployment: Deployment) -> Iterator[Finding]:
    """Warn where a tenant's tokens are used up before its requests, whatever they ask for."""
    tenant = deployment.gateway.admission.tenant
    requests, tokens = tenant.requests_per_minute, tenant.tokens_per_minute
    if requests and tokens and tokens < requests:
        yield Finding(
            code="tenant-tokens-below-requests",
            path="gateway.admission.tenant.tokens_per_minute",
            got=str(tokens),
            allowed=f"at least requests_per_minute ({requests}): a request takes several tokens",
            change="raise it, or leave requests_per_minute out",
            severity=Severity.WARNING,
        )


def tenant_concurrency_divides(deployment: Deployment) -> Iterator[Finding]:
    """Warn where every task lets one request of a tenant run, and there may be more tasks than that."""
    concurrency, most = deployment.gateway.admission.tenant.concurrency, deployment.gateway.max_count
    if concurrency and concurrency < most:
        yield Finding(
            code="tenant-concurrency-below-tasks",
            path="gateway.admission.tenant.concurrency",
            got=str(concurrency),
            allowed=f"at least gateway.max_count ({most}): each task lets one run, so that {most} may",
            change="raise it, or lower max_count",
            severity=Severity.WARNING,
        )
