"""Check that a gateway's bounds suit its scaling and its model."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.gateway.admission.policy import GREED
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity

_BYTES_PER_TOKEN = 8
"""More than a token takes in JSON: English and code have 3 to 5 bytes, escaped scripts 6 a character."""


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
