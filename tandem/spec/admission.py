"""Model what a gateway takes on, and what it lets one tenant ask for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tandem.spec.section import Section


class TenantLimits(Section):
    """Limit each tenant that has no limits of its own (``tandem tenant add``); default: none."""

    requests_per_minute: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    tokens_per_minute: Annotated[
        int | None,
        Field(ge=1, le=10_000_000_000, description="of prompts, estimated, and as many as answers may have"),
    ] = None
    concurrency: Annotated[
        int | None, Field(ge=1, le=1_000_000, description="requests under way, above which they wait")
    ] = None


class Admission(Section):
    """Bound requests, each and all together. Counts are of one task; tenants' limits are of the deployment."""

    running: Annotated[int, Field(ge=1, le=100_000, description="requests under way, above which they wait")] = 256
    waiting: Annotated[int, Field(ge=1, le=100_000, description="requests that wait, above which they get 429")] = 128
    wait_seconds: Annotated[float, Field(gt=0, le=600, description="how long one waits before it gets 429")] = 10.0
    tenant: TenantLimits = TenantLimits()
    body_kib: Annotated[int, Field(ge=16, le=65536, description="the largest body")] = 4096
    bodies_mib: Annotated[
        int, Field(ge=16, le=16384, description="all bodies of requests under way in a task, above which they get 429")
    ] = 256
    prompt_tokens: Annotated[
        int | None, Field(ge=1, description="the longest prompt, estimated; default: what the context holds")
    ] = None
    request_seconds: Annotated[
        int, Field(ge=1, le=86400, description="how long a request may take to the end of its answer")
    ] = 3600
