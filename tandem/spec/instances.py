"""Hold what is known of the Trainium instance types, each record with its source.

HBM is the Neuron documentation's figure: DescribeInstanceTypes reports 524,288 MiB a device for trn2, five times what
a Trainium2 chip has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceType:
    """Describe one instance type.

    ``neuron_cores`` are physical; ``logical_cores`` what a server may use as tensor-parallel ranks (LNC=2 on Trainium2,
    aws-neuron-sdk neuron-runtime/about/collectives.rst). ``efa_interfaces`` is one a network card where there is EFA,
    of version ``efa_generation``. ``capacity_block`` and ``ultraserver`` say which EC2 Capacity Blocks there are: of
    single instances, of UltraServers. ``nitro`` says that the type is built on the Nitro System,
    ``encryption_in_transit`` that EC2 lists it as encrypting traffic between instances by itself, within a VPC or
    between peered ones (EC2 user guide, data-protection: AEAD with 256-bit keys). ``None`` is a figure that the user's
    own facts leave out.
    """

    name: str
    vcpus: int
    memory_gib: int
    neuron_devices: int
    neuron_cores: int | None
    logical_cores: int
    hbm_gib_per_device: int
    network_cards: int
    interfaces_per_card: int
    efa_interfaces: int
    efa_generation: int | None
    network_gbps: float | None
    capacity_block: bool
    ultraserver: bool
    nitro: bool
    encryption_in_transit: bool
    source: str

    @property
    def hbm_gib(self) -> int:
        """Device memory of the whole instance."""
        return self.neuron_devices * self.hbm_gib_per_device


_EC2 = "EC2 DescribeInstanceTypes (Hypervisor and EncryptionInTransitSupported among its fields)"
_TRAINIUM1 = f"{_EC2}; cores and HBM: aws-neuron-sdk about-neuron/arch/neuron-hardware/trainium.rst"
_TRAINIUM1_EFA = f"{_TRAINIUM1}; EFA version: AWS's announcement of second-generation EFA"
_TRAINIUM2 = f"{_EC2}; cores and HBM: aws-neuron-sdk .../trainium2.rst; EFA version: .../trn2-arch.rst"
_TRN2U = (
    "aws-neuron-sdk .../trn2-arch.rst, which gives it the column of trn2.48xlarge; sold by the UltraServer: EC2 "
    "DescribeCapacityBlockOfferings; interfaces per card are not published and taken from trn2.48xlarge"
)

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
        interfaces_per_card=4,
        efa_interfaces=0,
        efa_generation=None,
        network_gbps=12.5,
        capacity_block=False,
        ultraserver=False,
        nitro=True,
        encryption_in_transit=True,
        source=_TRAINIUM1,
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
        interfaces_per_card=5,
        efa_interfaces=8,
        efa_generation=2,
        network_gbps=800,
        capacity_block=True,
        ultraserver=False,
        nitro=True,
        encryption_in_transit=True,
        source=_TRAINIUM1_EFA,
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
        interfaces_per_card=5,
        efa_interfaces=16,
        efa_generation=2,
        network_gbps=1600,
        capacity_block=False,
        ultraserver=False,
        nitro=True,
        encryption_in_transit=True,
        source=_TRAINIUM1_EFA,
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
        interfaces_per_card=2,
        efa_interfaces=1,
        efa_generation=3,
        network_gbps=200,
        capacity_block=True,
        ultraserver=False,
        nitro=True,
        encryption_in_transit=True,
        source=_TRAINIUM2,
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
        interfaces_per_card=2,
        efa_interfaces=16,
        efa_generation=3,
        network_gbps=3200,
        capacity_block=True,
        ultraserver=False,
        nitro=True,
        encryption_in_transit=True,
        source=_TRAINIUM2,
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
        interfaces_per_card=2,
        efa_interfaces=16,
        efa_generation=3,
        network_gbps=3200,
        capacity_block=False,
        ultraserver=True,
        nitro=True,
        encryption_in_transit=True,
        source=_TRN2U,
    ),
)

INSTANCE_TYPES: Final = {kind.name: kind for kind in _TYPES}
"""Every known type by name."""
