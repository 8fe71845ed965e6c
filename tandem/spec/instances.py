"""Hold what is known of the Trainium instance types, each figure with its source.

HBM is the Neuron documentation's figure: DescribeInstanceTypes reports 524,288 MiB a device for trn2, five times what
a Trainium2 chip has. Other figures are DescribeInstanceTypes'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceType:
    """Describe one instance type.

    ``neuron_cores`` are physical; ``logical_cores`` what a server may use as tensor-parallel ranks (LNC=2 on Trainium2,
    aws-neuron-sdk neuron-runtime/about/collectives.rst). ``efa_interfaces`` is one a network card where there is EFA.
    """

    name: str
    vcpus: int
    memory_gib: int
    neuron_devices: int
    neuron_cores: int
    logical_cores: int
    hbm_gib_per_device: int
    network_cards: int
    efa_interfaces: int
    network_gbps: float

    @property
    def hbm_gib(self) -> int:
        """Device memory of the whole instance."""
        return self.neuron_devices * self.hbm_gib_per_device


_TYPES = (
    InstanceType(
        name="trn1.2xlarge",
        vcpus=8,
        memory_gib=32,
        neuron_devices=1,
        neuron_cores=2,
        logical_cores=2,
        hbm_gib_per_device=32,
        network_cards=1,
        efa_interfaces=0,
        network_gbps=12.5,
    ),
    InstanceType(
        name="trn1.32xlarge",
        vcpus=128,
        memory_gib=512,
        neuron_devices=16,
        neuron_cores=32,
        logical_cores=32,
        hbm_gib_per_device=32,
        network_cards=8,
        efa_interfaces=8,
        network_gbps=800,
    ),
    InstanceType(
        name="trn1n.32xlarge",
        vcpus=128,
        memory_gib=512,
        neuron_devices=16,
        neuron_cores=32,
        logical_cores=32,
        hbm_gib_per_device=32,
        network_cards=16,
        efa_interfaces=16,
        network_gbps=1600,
    ),
    InstanceType(
        name="trn2.3xlarge",
        vcpus=12,
        memory_gib=128,
        neuron_devices=1,
        neuron_cores=8,
        logical_cores=4,
        hbm_gib_per_device=96,
        network_cards=1,
        efa_interfaces=1,
        network_gbps=200,
    ),
    InstanceType(
        name="trn2.48xlarge",
        vcpus=192,
        memory_gib=2048,
        neuron_devices=16,
        neuron_cores=128,
        logical_cores=64,
        hbm_gib_per_device=96,
        network_cards=16,
        efa_interfaces=16,
        network_gbps=3200,
    ),
    InstanceType(
        name="trn2u.48xlarge",
        vcpus=192,
        memory_gib=2048,
        neuron_devices=16,
        neuron_cores=128,
        logical_cores=64,
        hbm_gib_per_device=96,
        network_cards=16,
        efa_interfaces=16,
        network_gbps=3200,
    ),
)

INSTANCE_TYPES: Final = {kind.name: kind for kind in _TYPES}
"""Every known type by name."""
