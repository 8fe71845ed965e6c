"""Cases of the rules on instance facts, EFA layouts and capacity."""

from __future__ import annotations

from tandem.spec.findings import Severity
from tests.tandem.spec.cases import Case

_GROUP = {"name": "trn2", "instance_type": "trn2.48xlarge", "count": 1, "tensor_parallel": 64}
_FACTS = {
    "vcpus": 192,
    "memory_gib": 2048,
    "neuron_devices": 16,
    "logical_cores": 64,
    "hbm_gib_per_device": 144,
    "network_cards": 16,
    "interfaces_per_card": 2,
    "efa_interfaces": 16,
    "nitro": True,
}
_ENDS = "2027-01-31T11:30:00Z"
_BLOCK = {"mode": "capacity-block", "zone": "us-east-2b", "ends_at": _ENDS, "reservation_id": "cr-0123456789abcdef0"}
_ARN = "arn:aws:resource-groups:us-east-2:111122223333:group/ultra"
_ULTRA = {"mode": "ultraserver-block", "zone": "us-east-2b", "ends_at": _ENDS, "resource_group": _ARN}
_RESERVATION = {"mode": "reservation", "zone": "us-east-2b", "target": _ARN}

CAPACITY = [
    Case(
        rule="instance_types_known",
        code="instance-type-unknown",
        path="prefill.groups.0.instance_type",
        wrong={"prefill__groups__0__instance_type": "trn3.48xlarge"},
        right={"prefill__groups__0__instance_type": "trn3.48xlarge", "prefill__groups__0__instance_facts": _FACTS},
    ),
    Case(
        rule="instance_facts_own",
        code="instance-facts-own",
        path="prefill.groups.0.instance_facts",
        wrong={"prefill__groups__0__instance_facts": _FACTS},
        severity=Severity.WARNING,
    ),
    Case(
        rule="efa_fits_cards",
        code="efa-interfaces-exceed-cards",
        path="prefill.groups.0.instance_facts.efa_interfaces",
        wrong={"prefill__groups__0__instance_facts": {**_FACTS, "network_cards": 15}},
        right={"prefill__groups__0__instance_facts": _FACTS},
    ),
    Case(
        rule="efa_fits_cards",
        code="efa-layout-impossible",
        path="prefill.groups.0.efa_layout",
        wrong={
            "prefill__groups__0__instance_facts": {**_FACTS, "interfaces_per_card": 1},
            "prefill__groups__0__efa_layout": "ena-plus-efa-only",
        },
        right={"prefill__groups__0__instance_facts": {**_FACTS, "interfaces_per_card": 1}},
    ),
    Case(
        rule="mode_offered",
        code="capacity-mode-not-offered",
        path="prefill.groups.0.capacity.mode",
        wrong={
            "prefill__groups__0__capacity": _BLOCK,
            "prefill__groups__0__instance_type": "trn1n.32xlarge",
            "prefill__groups__0__tensor_parallel": 32,
        },
        right={"prefill__groups__0__capacity": _BLOCK},
    ),
    Case(
        rule="mode_offered",
        code="capacity-mode-not-offered",
        path="prefill.groups.1.capacity.mode",
        wrong={"prefill__groups": [_GROUP, {**_GROUP, "name": "ultra", "count": 4, "capacity": _ULTRA}]},
        right={
            "prefill__groups": [
                _GROUP,
                {**_GROUP, "name": "ultra", "count": 4, "capacity": _ULTRA, "instance_type": "trn2u.48xlarge"},
            ]
        },
    ),
    Case(
        rule="mode_offered",
        code="capacity-mode-not-offered",
        path="prefill.groups.0.capacity.mode",
        wrong={"prefill__groups__0__capacity": {"mode": "spot"}, "prefill__groups__0__instance_type": "trn2u.48xlarge"},
        right={"prefill__groups__0__capacity": {"mode": "spot"}},
    ),
    Case(
        rule="ultraservers_whole",
        code="ultraserver-incomplete",
        path="prefill.groups.0.count",
        wrong={
            "prefill__groups__0__capacity": _ULTRA,
            "prefill__groups__0__instance_type": "trn2u.48xlarge",
            "prefill__groups__0__count": 6,
        },
        right={
            "prefill__groups__0__capacity": _ULTRA,
            "prefill__groups__0__instance_type": "trn2u.48xlarge",
            "prefill__groups__0__count": 8,
        },
    ),
    *(
        Case(
            rule="zone_is_efa_zone",
            code="capacity-outside-zone",
            path="prefill.groups.0.capacity.zone",
            wrong={"prefill__groups__0__capacity": {**capacity, "zone": "us-east-2a"}},
            right={"prefill__groups__0__capacity": capacity},
        )
        for capacity in (_BLOCK, _RESERVATION)
    ),
    *(
        Case(
            rule="resource_group_in_region",
            code="resource-group-elsewhere",
            path="prefill.groups.0.capacity.target",
            wrong={"prefill__groups__0__capacity": {**_RESERVATION, "target": wrong}, "account": "111122223333"},
            right={"prefill__groups__0__capacity": {**_RESERVATION, "target": right}, "account": "111122223333"},
        )
        for wrong, right in [
            (_ARN.replace("us-east-2", "us-west-2"), _ARN),
            (_ARN.replace("1111", "4444"), "cr-0123456789abcdef0"),
        ]
    ),
    Case(
        rule="resource_group_in_region",
        code="resource-group-elsewhere",
        path="prefill.groups.0.capacity.resource_group",
        wrong={
            "prefill__groups__0__capacity": {**_ULTRA, "resource_group": _ARN.replace("us-east-2", "us-west-2")},
            "prefill__groups__0__instance_type": "trn2u.48xlarge",
            "prefill__groups__0__count": 4,
        },
        right={
            "prefill__groups__0__capacity": _ULTRA,
            "prefill__groups__0__instance_type": "trn2u.48xlarge",
            "prefill__groups__0__count": 4,
        },
    ),
    Case(
        rule="addresses_suffice",
        code="addresses-exhausted",
        path="network.cidr",
        wrong={"network__cidr": "10.0.0.0/20", "prefill__groups__0__count": 500},
        right={
            "network__cidr": "10.0.0.0/20",
            "prefill__groups__0__count": 500,
            "prefill__groups__0__efa_layout": "ena-plus-efa-only",  # one address a host
        },
    ),
]
"""Each fault, and the nearest file without it."""
