"""A reservation or block that is not what the file says is found; moto has none, so the API's model checks answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge

ID = "cr-0123456789abcdef0"
GROUP = "arn:aws:resource-groups:us-east-2:123456789012:group/ours"
END = datetime(2027, 1, 31, 11, 30, tzinfo=UTC)
ODCR = {"mode": "reservation", "target": ID, "zone": "us-east-2b"}
BLOCK = {
    "mode": "capacity-block",
    "reservation_id": ID,
    "zone": "us-east-2b",
    "ends_at": "2027-01-31T11:30:00Z",
}


def reservation(**changes: Any) -> dict[str, Any]:
    found = {
        "CapacityReservationId": ID,
        "InstanceType": "trn2.48xlarge",
        "AvailabilityZone": "us-east-2b",
        "TotalInstanceCount": 1,
        "State": "active",
        "EndDate": END,
    }
    return {**found, **changes}


def judged(capacity: dict[str, Any], *found: dict[str, Any], hosts: int = 1) -> Result:
    changes: dict[str, Any] = {"prefill__groups__0__capacity": capacity, "prefill__groups__0__count": hosts}
    ec2 = answering("ec2", ("describe_capacity_reservations", {"CapacityReservations": list(found)}))
    return judge("reservation", deployment(**changes), ec2=ec2)


def test_a_reservation_as_the_file_says_passes() -> None:
    result = judged(ODCR, reservation())
    assert (result.verdict, result.found) == (Verdict.PASS, f"{ID}: 1 trn2.48xlarge for 1 hosts")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"InstanceType": "trn1.32xlarge"}, "InstanceType is trn1.32xlarge, not trn2.48xlarge"),
        ({"AvailabilityZone": "us-east-2a"}, "AvailabilityZone is us-east-2a, not us-east-2b"),
        ({"State": "expired"}, "state expired"),
        ({"State": "payment-failed"}, "state payment-failed"),
        ({"TotalInstanceCount": 0}, "0 instances, the file asks for up to 1"),
    ],
)
def test_what_differs_fails_by_name(changes: dict[str, Any], fault: str) -> None:
    result = judged(ODCR, reservation(**changes))
    assert (result.verdict, result.found) == (Verdict.FAIL, f"{ID}: {fault}")


def test_a_reservation_may_end_whenever_it_does() -> None:
    assert judged(ODCR, reservation(EndDate=datetime(2026, 12, 1, tzinfo=UTC))).verdict is Verdict.PASS


@pytest.mark.parametrize(("day", "verdict"), [(31, "PASS"), (30, "FAIL")])
def test_a_block_must_end_when_the_file_says(day: int, verdict: str) -> None:
    result = judged(BLOCK, reservation(EndDate=END.replace(day=day)))
    assert result.verdict == verdict
    assert verdict == "PASS" or result.found == f"{ID}: ends 2027-01-30 11:30:00+00:00, the file says {END}"


def test_a_block_that_begins_later_passes_and_says_when() -> None:
    start = datetime(2027, 1, 1, 11, 30, tzinfo=UTC)
    result = judged(BLOCK, reservation(State="scheduled", StartDate=start))
    assert result.verdict is Verdict.PASS
    assert result.found.endswith(f"for 1 hosts, scheduled, from {start}")


def test_a_reservation_that_is_not_there_fails() -> None:
    ec2 = answering("ec2", ("describe_capacity_reservations", "InvalidCapacityReservationId.NotFound"))
    result = judge("reservation", deployment(prefill__groups__0__capacity=ODCR), ec2=ec2)
    assert (result.verdict, result.found) == (Verdict.FAIL, f"{ID}: there is none in this account and region")


def test_a_call_that_is_denied_is_unknown() -> None:
    ec2 = answering("ec2", ("describe_capacity_reservations", "UnauthorizedOperation"))
    result = judge("reservation", deployment(prefill__groups__0__capacity=ODCR), ec2=ec2)
    assert result.verdict is Verdict.UNKNOWN


def test_the_reservations_of_a_resource_group_count_together() -> None:
    prefix = "arn:aws:ec2:us-east-2:123456789012:capacity-reservation"
    members = [{"Identifier": {"ResourceArn": f"{prefix}/{name}"}} for name in (ID, "cr-1123456789abcdef0")]
    result = judge(
        "reservation",
        deployment(prefill__groups__0__capacity={**ODCR, "target": GROUP}, prefill__groups__0__count=3),
        ec2=answering(
            "ec2",
            (
                "describe_capacity_reservations",
                {"CapacityReservations": [reservation(), reservation(TotalInstanceCount=2)]},
            ),
        ),
        resource_groups=answering("resource-groups", ("list_group_resources", {"Resources": members})),
    )
    assert (result.verdict, result.found) == (Verdict.PASS, f"{GROUP}: 3 trn2.48xlarge for 3 hosts")


def test_groups_of_one_reservation_share_it() -> None:
    group = {"instance_type": "trn2.48xlarge", "count": 1, "tensor_parallel": 64, "capacity": ODCR}
    two = deployment(prefill__groups=[{"name": "one", **group}, {"name": "two", **group}])
    ec2 = answering("ec2", ("describe_capacity_reservations", {"CapacityReservations": [reservation()]}))
    assert judge("reservation", two, ec2=ec2).found == f"{ID}: 1 instances, the file asks for up to 2"


def test_on_demand_asks_nothing() -> None:
    assert judge("reservation", deployment(), ec2=answering("ec2")).verdict is Verdict.PASS
