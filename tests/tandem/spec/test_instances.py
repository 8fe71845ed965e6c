"""The table of instance types says what AWS and the Neuron documentation publish."""

from __future__ import annotations

import gzip
import json
from importlib import resources

import pytest

from tandem.spec.instances import INSTANCE_TYPES, InstanceType

# DescribeInstanceTypes: vCPU, memory GiB, devices, network cards, interfaces a card, EFA interfaces, Gbps
# aws-neuron-sdk arch pages: EFA version, physical cores, HBM GiB of the whole instance
# DescribeInstanceTypes' usage classes and DescribeCapacityBlockOfferings: blocks of instances, of UltraServers
PUBLISHED = {
    "trn1.2xlarge": (8, 32, 1, 1, 4, 0, 12.5, None, 2, 32, False, False),
    "trn1.32xlarge": (128, 512, 16, 8, 5, 8, 800, 2, 32, 512, True, False),
    "trn1n.32xlarge": (128, 512, 16, 16, 5, 16, 1600, 2, 32, 512, False, False),
    "trn2.3xlarge": (12, 128, 1, 1, 2, 1, 200, 3, 8, 96, True, False),
    "trn2.48xlarge": (192, 2048, 16, 16, 2, 16, 3200, 3, 128, 1536, True, False),
    "trn2u.48xlarge": (192, 2048, 16, 16, 2, 16, 3200, 3, 128, 1536, False, True),
}


def test_the_figures_are_the_published_ones() -> None:
    ours = {
        kind.name: (
            kind.vcpus,
            kind.memory_gib,
            kind.neuron_devices,
            kind.network_cards,
            kind.interfaces_per_card,
            kind.efa_interfaces,
            kind.network_gbps,
            kind.efa_generation,
            kind.neuron_cores,
            kind.hbm_gib,
            kind.capacity_block,
            kind.ultraserver,
        )
        for kind in INSTANCE_TYPES.values()
    }
    assert ours == PUBLISHED


@pytest.mark.parametrize("kind", INSTANCE_TYPES.values(), ids=lambda kind: kind.name)
def test_every_record_names_its_source(kind: InstanceType) -> None:
    assert "EC2" in kind.source
    assert "aws-neuron-sdk" in kind.source


@pytest.mark.parametrize("kind", INSTANCE_TYPES.values(), ids=lambda kind: kind.name)
def test_trainium2_has_half_as_many_logical_cores_as_physical(kind: InstanceType) -> None:
    assert kind.neuron_cores is not None
    assert kind.logical_cores == kind.neuron_cores // (2 if kind.name.startswith("trn2") else 1)


def test_what_the_table_says_of_nitro_and_encryption_is_what_ec2_answered() -> None:
    # moto ships the answers of DescribeInstanceTypes as they were recorded
    recorded = resources.files("moto.ec2.resources").joinpath("instance_types.json.gz")
    answered = json.loads(gzip.decompress(recorded.read_bytes()))
    for kind in INSTANCE_TYPES.values():
        answer = answered[kind.name]
        assert kind.nitro is (answer["Hypervisor"] == "nitro")
        assert kind.encryption_in_transit is answer["NetworkInfo"]["EncryptionInTransitSupported"]
