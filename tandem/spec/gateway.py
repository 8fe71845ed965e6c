"""Say how large the gateway is, how it routes, and where clients reach it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.spec.admission import Admission
from tandem.spec.patterns import HttpsUrl, Port
from tandem.spec.section import Section

CertificateArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$")]
Domain = Annotated[str, StringConstraints(pattern=r"^([a-z0-9-]+\.)+[a-z]{2,}$")]


class Routing(Section):
    """Say when a prompt is worth a prefill worker, where a decode worker could prefill what it has not cached."""

    new_tokens: Annotated[
        int, Field(ge=1, le=10_000_000, description="from how many tokens that are not cached KV is handed over")
    ] = 2048
    new_share: Annotated[float, Field(ge=0, le=1, description="or from which share of the prompt")] = 0.7


class SpillOver(Section):
    """Name an OpenAI-compatible endpoint that is handed text where decode is full or away, or nothing can prefill."""

    endpoint: HttpsUrl
    model: Annotated[str, Field(min_length=1, max_length=200, description="the model's name there")]


class Gateway(Section):
    """Size the gateway and say under which name clients reach it."""

    min_count: Annotated[int, Field(ge=1, le=100, description="the fewest tasks")] = 2
    max_count: Annotated[int, Field(ge=1, le=100, description="the most tasks; equal to min_count: no scaling")] = 10
    streams_per_task: Annotated[
        int, Field(ge=1, le=10_000, description="requests under way in one task, above which tasks are added")
    ] = 64
    cpu: Literal[256, 512, 1024, 2048, 4096] = 1024
    memory_mib: Annotated[int, Field(ge=512, le=30720)] = 2048
    port: Port = 8080
    metrics_port: Annotated[Port, Field(description="where Prometheus may scrape a gateway, inside the VPC")] = 9464
    admission: Admission = Admission()
    routing: Routing = Routing()
    spill_over: Annotated[SpillOver | None, Field(description="another provider; default: none")] = None
    domain: Domain | None = None
    certificate_arn: CertificateArn | None = None

    @property
    def scales(self) -> bool:
        """Whether the number of tasks follows the streams."""
        return self.min_count < self.max_count
