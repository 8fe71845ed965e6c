"""Say what runs vLLM, and on which hosts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.spec.capacity import Capacity, OnDemand
from tandem.spec.facts import InstanceFacts
from tandem.spec.instances import INSTANCE_TYPES, InstanceType
from tandem.spec.patterns import Name, Port
from tandem.spec.scaling import PrefillScaling
from tandem.spec.section import Section

InstanceTypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$", max_length=64)]
NEURON_VLLM_IMAGE = (
    "public.ecr.aws/neuron/pytorch-inference-vllm-neuronx:0.24.0.1.1.0-neuronx-py313-sdk2.32.0-ubuntu24.04"
)


class InstanceGroup(Section):
    """Ask for ``count`` hosts of one type, one vLLM worker each; with bounds, for as many as prompts need."""

    name: Name
    instance_type: InstanceTypeName
    instance_facts: Annotated[
        InstanceFacts | None, Field(description="what the type has, in place of Tandem's own table")
    ] = None
    count: Annotated[int, Field(ge=1, le=500, description="hosts at first; without bounds, hosts always")]
    min_count: Annotated[int | None, Field(ge=1, le=500, description="default: count")] = None
    max_count: Annotated[int | None, Field(ge=1, le=500, description="default: count")] = None
    tokens_per_second: Annotated[
        int | None,
        Field(ge=1, le=10_000_000, description="prompt tokens that one worker prefills a second, as you measured it"),
    ] = None
    tensor_parallel: Annotated[int, Field(ge=1, description="logical NeuronCores of one worker")]
    efa_interfaces: Annotated[int | None, Field(ge=1, description="default: every interface of the type")] = None
    efa_layout: Annotated[
        Literal["efa", "ena-plus-efa-only"],
        Field(description="efa: one EFA interface a card; ena-plus-efa-only: an ENA one, and EFA ones without address"),
    ] = "efa"
    capacity: Capacity = OnDemand(mode="on-demand")

    @property
    def least(self) -> int:
        """The fewest hosts that the group is scaled to."""
        return self.min_count or self.count

    @property
    def most(self) -> int:
        """The most hosts that the group is scaled to."""
        return self.max_count or self.count

    @property
    def scales(self) -> bool:
        """Whether the group's size follows its load."""
        return self.least < self.most

    @property
    def kind(self) -> InstanceType | None:
        """The facts of the group's type: the file's own, else the table's; ``None`` for an unknown type."""
        if self.instance_facts:
            return self.instance_facts.as_type(self.instance_type)
        return INSTANCE_TYPES.get(self.instance_type)


class Workers(Section):
    """Run vLLM on Neuron: what its server is told, and on which hosts."""

    groups: Annotated[list[InstanceGroup], Field(min_length=1)]
    image: str = NEURON_VLLM_IMAGE
    block_size: Annotated[int, Field(ge=1, le=512, description="tokens a KV block")] = 32
    max_num_seqs: Annotated[int, Field(ge=1)] = 8
    kv_lease_seconds: Annotated[int, Field(ge=1, le=3600, description="how long KV waits for its reader")] = 30
    api_port: Port = 8100
    side_channel_port: Port = 5559
    status_port: Annotated[Port, Field(description="where a worker says whether it takes requests")] = 8099
    start_seconds: Annotated[
        int, Field(ge=60, le=86400, description="how long vLLM may take until it serves; a first compile is slow")
    ] = 5400
    warm_start_seconds: Annotated[
        int,
        Field(
            ge=60, le=86400, description="the same where compiled artifacts are at hand; weights of the hub count in"
        ),
    ] = 1800


class Prefill(Workers):
    """Produce KV, on as many hosts of the groups with bounds as the prompts need."""

    scaling: PrefillScaling = PrefillScaling()
