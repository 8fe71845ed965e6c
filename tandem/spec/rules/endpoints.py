"""Check that endpoints are several where several are named, and that what is set has an effect."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from tandem.spec.decode import Cs3, OpenAi, VllmDecode
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity

_HTTPS = 443


def endpoints_distinct(deployment: Deployment) -> Iterator[Finding]:
    """Refuse an endpoint that is named twice: it would be taken for two, and a retry elsewhere go to the same."""
    decode = deployment.decode
    if not isinstance(decode, Cs3):
        return
    known = [_place(url) for url in decode.endpoints]
    for index, url in enumerate(decode.more_endpoints):
        if _place(url) in known[: index + 1]:
            yield Finding(
                code="decode-endpoint-twice",
                path=f"decode.more_endpoints.{index}",
                got=url,
                allowed="an endpoint that is named nowhere else",
                change="leave it out, or name another",
            )


def spills_over_elsewhere(deployment: Deployment) -> Iterator[Finding]:
    """Refuse a spill-over to where requests go already: it is full, or away, when they spill over."""
    decode, spare = deployment.decode, deployment.gateway.spill_over
    if spare is None or not isinstance(decode, Cs3 | OpenAi):
        return
    if _place(spare.endpoint) in [_place(url) for url in decode.endpoints]:
        yield Finding(
            code="spill-over-to-decode",
            path="gateway.spill_over.endpoint",
            got=spare.endpoint,
            allowed="another endpoint than those of decode",
            change="name another provider, or leave spill_over out",
        )


def routing_has_effect(deployment: Deployment) -> Iterator[Finding]:
    """Tell that thresholds are for decode workers of our own, which alone take both KV and text."""
    if "routing" in deployment.gateway.model_fields_set and not isinstance(deployment.decode, VllmDecode):
        yield Finding(
            code="routing-without-effect",
            path="gateway.routing",
            got=f"thresholds, with decode.provider {deployment.decode.provider}",
            allowed="decode.provider vllm, whose workers prefill by themselves what is not worth a handoff",
            change="leave it out",
            severity=Severity.INFO,
        )


def _place(url: str) -> tuple[str | None, int]:
    """Return host and port, by which endpoints are one; a host's case and the usual port tell nothing."""
    parts = urlsplit(url)
    return parts.hostname, parts.port or _HTTPS
