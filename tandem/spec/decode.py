"""Say who decodes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.spec.patterns import Cidr, HttpsUrl, Port
from tandem.spec.section import Section
from tandem.spec.workers import Workers

EndpointService = Annotated[str, StringConstraints(pattern=r"^com\.amazonaws\.vpce\.[a-z0-9-]+\.vpce-svc-[0-9a-f]+$")]


class Cs3(Section):
    """Decode on Cerebras CS-3 by the decode endpoint contract; no such public endpoint exists today."""

    provider: Literal["cs3"]
    endpoint: HttpsUrl
    more_endpoints: Annotated[
        list[HttpsUrl],
        Field(
            max_length=15,
            default_factory=list,
            description="further endpoints of the same owner and keys: requests go to the emptiest, and a stream that "
            "breaks at one goes on at another",
        ),
    ]
    peer_cidr: Annotated[Cidr, Field(description="from where the CS-3 side reaches the workers' side channel")]
    systems: Annotated[
        int | None, Field(ge=1, le=2048, description="CS-3 systems that serve the model, to check a declared load")
    ] = None
    endpoint_service: Annotated[
        EndpointService | None,
        Field(description="the PrivateLink service of the endpoint, whose private DNS name is the endpoint's"),
    ] = None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Every endpoint."""
        return (self.endpoint, *self.more_endpoints)


class VllmDecode(Workers):
    """Decode on vLLM, on Trainium like prefill: KV is handed over as ``kv_transfer_params``."""

    provider: Literal["vllm"]
    api_port: Port = 8200
    side_channel_port: Port = 5659


class OpenAi(Section):
    """Decode at an OpenAI-compatible endpoint: the handoff is text, the endpoint prefills by itself."""

    provider: Literal["openai"]
    endpoint: HttpsUrl
    model: Annotated[str, Field(min_length=1, description="the model's name at the endpoint")]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The one endpoint."""
        return (self.endpoint,)


Decode = Annotated[Cs3 | VllmDecode | OpenAi, Field(discriminator="provider")]
