"""The table of instance types says what AWS and the Neuron documentation publish."""

from __future__ import annotations

import pytest

from tandem.spec.instances import INSTANCE_TYPES, InstanceType

# DescribeInstanceTypes: vCPU, memory GiB, devices, network cards, EFA interfaces, Gbps
# aws-neuron-sdk arch pages: physical cores, HBM GiB of the whole instance
PUBLISHED = {
    "trn1.2xlarge": (8, 32, 1, 1, 0, 12.5, 2, 32),
    "trn1.32xlarge": (128, 512, 16, 8, 8, 800, 32, 512),
    "trn1n.32xlarge": (128, 512, 16, 16, 16, 1600, 32, 512),
    "trn2.3xlarge": (12, 128, 1, 1, 1, 200, 8, 96),
    "trn2.48xlarge": (192, 2048, 16, 16, 16, 3200, 128, 1536),
    "trn2u.48xlarge": (192, 2048, 16, 16, 16, 3200, 128, 1536),
}


def test_the_figures_are_the_published_ones() -> None:
    ours = {
        kind.name: (
            kind.vcpus,
            kind.memory_gib,
            kind.neuron_devices,
            kind.network_cards,
            kind.efa_interfaces,
            kind.network_gbps,
            kind.neuron_cores,
            kind.hbm_gib,
        )
        for kind in INSTANCE_TYPES.values()
    }
    assert ours == PUBLISHED


@pytest.mark.parametrize("kind", INSTANCE_TYPES.values(), ids=lambda kind: kind.name)
def test_trainium2_has_half_as_many_logical_cores_as_physical(kind: InstanceType) -> None:
    assert kind.logical_cores == kind.neuron_cores // (2 if kind.name.startswith("trn2") else 1)
