"""Model the facts of an instance type that the user gives in place of the table's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tandem.spec.instances import InstanceType
from tandem.spec.section import Section

_Count = Annotated[int, Field(ge=1, le=10_000)]


class InstanceFacts(Section):
    """Describe a type that has no public name yet, or that the table does not know."""

    vcpus: _Count
    memory_gib: Annotated[int, Field(ge=1, le=100_000)]
    neuron_devices: Annotated[int, Field(ge=1, le=256)]
    logical_cores: Annotated[_Count, Field(description="what a server may use as tensor-parallel ranks")]
    hbm_gib_per_device: _Count
    network_cards: Annotated[int, Field(ge=1, le=64)]
    interfaces_per_card: Annotated[int, Field(ge=1, le=64, description="network interfaces a card may carry")]
    efa_interfaces: Annotated[int, Field(ge=0, le=64, description="EFA interfaces, one a network card")]
    nitro: Annotated[bool, Field(description="built on the Nitro System: DescribeInstanceTypes' Hypervisor is nitro")]
    encryption_in_transit: Annotated[
        bool, Field(description="DescribeInstanceTypes' NetworkInfo.EncryptionInTransitSupported")
    ] = False
    capacity_block: Annotated[bool, Field(description="sold as EC2 Capacity Block")] = False
    ultraserver: Annotated[bool, Field(description="sold as UltraServer Capacity Block")] = False

    def as_type(self, name: str) -> InstanceType:
        """Return the facts as those of the type ``name``."""
        return InstanceType(
            name=name,
            neuron_cores=None,
            efa_generation=None,
            network_gbps=None,
            source="the deployment file",
            **self.model_dump(),
        )
