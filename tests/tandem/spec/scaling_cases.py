"""Cases of the rules on the bounds of groups and gateway."""

from __future__ import annotations

from tandem.spec.findings import Severity
from tests.tandem.spec.cases import Case

_ENDS = "2027-01-31T11:30:00Z"
_ID = "cr-0123456789abcdef0"
_BLOCK = {"mode": "capacity-block", "zone": "us-east-2b", "ends_at": _ENDS, "reservation_id": _ID}
_RESERVATION = {"mode": "reservation", "zone": "us-east-2b", "target": _ID}
_ULTRA = {
    "prefill__groups__0__instance_type": "trn2u.48xlarge",
    "prefill__groups__0__count": 4,
    "prefill__groups__0__capacity": {
        "mode": "ultraserver-block",
        "zone": "us-east-2b",
        "ends_at": _ENDS,
        "resource_group": "arn:aws:resource-groups:us-east-2:111122223333:group/ultra",
    },
}
_FEW_ADDRESSES = {"prefill__groups__0__efa_layout": "ena-plus-efa-only"}

SCALING = [
    Case(
        rule="count_within_bounds",
        code="count-below-minimum",
        path="prefill.groups.0.min_count",
        wrong={"prefill__groups__0__count": 3, "prefill__groups__0__min_count": 4},
        right={"prefill__groups__0__count": 3, "prefill__groups__0__min_count": 3},
    ),
    Case(
        rule="count_within_bounds",
        code="count-above-maximum",
        path="prefill.groups.0.max_count",
        wrong={"prefill__groups__0__count": 3, "prefill__groups__0__max_count": 2},
        right={"prefill__groups__0__count": 3, "prefill__groups__0__max_count": 3},
    ),
    Case(
        rule="gateway_bounds_ordered",
        code="gateway-bounds-reversed",
        path="gateway.min_count",
        wrong={"gateway__min_count": 4, "gateway__max_count": 3},
        right={"gateway__min_count": 4, "gateway__max_count": 4},
    ),
    Case(
        rule="decode_fixed",
        code="decode-scaled",
        path="decode.groups.0",
        provider="vllm",
        wrong={"decode__groups__0__max_count": 2},
        right={"decode__groups__0__max_count": 1, "prefill__groups__0__max_count": 2},
    ),
    Case(
        rule="ultraservers_fixed",
        code="ultraserver-scaled",
        path="prefill.groups.0",
        wrong={**_ULTRA, "prefill__groups__0__max_count": 8},
        right=_ULTRA,
    ),
    *(
        Case(
            rule="paid_capacity_used",
            code="paid-capacity-idle",
            path="prefill.groups.0",
            wrong={"prefill__groups__0__capacity": capacity, "prefill__groups__0__max_count": 2},
            right={"prefill__groups__0__capacity": capacity},
            severity=Severity.WARNING,
        )
        for capacity in (_BLOCK, _RESERVATION)
    ),
    Case(
        rule="worker_speed_known",
        code="worker-speed-assumed",
        path="prefill.groups.0.tokens_per_second",
        wrong={"prefill__groups__0__max_count": 2},
        right={"prefill__groups__0__max_count": 2, "prefill__groups__0__tokens_per_second": 20_000},
        severity=Severity.WARNING,
    ),
    Case(
        rule="block_large_enough",
        code="block-exceeded",
        path="prefill.groups.0.count",
        wrong={**_FEW_ADDRESSES, "prefill__groups__0__capacity": _BLOCK, "prefill__groups__0__count": 65},
        right={**_FEW_ADDRESSES, "prefill__groups__0__capacity": _BLOCK, "prefill__groups__0__count": 64},
    ),
]
"""Each fault, and the nearest file without it."""
