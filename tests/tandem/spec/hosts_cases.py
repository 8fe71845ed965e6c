"""Cases of the rules on what hosts promise by their type."""

from __future__ import annotations

from tandem.spec.findings import Severity
from tests.tandem.spec.cases import Case

_FACTS = {
    "vcpus": 192,
    "memory_gib": 2048,
    "neuron_devices": 16,
    "logical_cores": 64,
    "hbm_gib_per_device": 144,
    "network_cards": 16,
    "interfaces_per_card": 2,
    "efa_interfaces": 16,
}
_GROUP = "prefill__groups__0"


def _facts(*, nitro: bool, encryption: bool) -> dict[str, object]:
    facts = {**_FACTS, "nitro": nitro, "encryption_in_transit": encryption}
    return {f"{_GROUP}__instance_type": "trn3.48xlarge", f"{_GROUP}__instance_facts": facts}


HOSTS = [
    Case(
        rule="hosts_on_nitro",
        code="instance-not-nitro",
        path="prefill.groups.0.instance_facts.nitro",
        wrong=_facts(nitro=False, encryption=True),
        right=_facts(nitro=True, encryption=True),
    ),
    Case(
        rule="kv_encrypted_in_transit",
        code="kv-in-clear",
        path="prefill.groups.0.instance_type",
        wrong=_facts(nitro=True, encryption=False),
        right=_facts(nitro=True, encryption=True),
        severity=Severity.WARNING,
    ),
]
