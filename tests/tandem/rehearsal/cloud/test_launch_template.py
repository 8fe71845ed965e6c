"""EC2's rules on launch templates with EFA interfaces."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.rehearsal.cloud.launch_template import refusals


def efa(card: int, device: int, kind: str = "efa", **more: Any) -> dict[str, Any]:
    return {"NetworkCardIndex": card, "DeviceIndex": device, "InterfaceType": kind, "Groups": ["sg-1"], **more}


GOOD = {"Placement": {"GroupName": "pg"}, "NetworkInterfaces": [efa(0, 0), *(efa(card, 1) for card in range(1, 16))]}


def test_a_good_template_is_not_refused() -> None:
    assert refusals(GOOD, {"pg"}) == []
    assert refusals({"InstanceType": "trn2.48xlarge"}, set()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"NetworkInterfaces": [efa(0, 0), efa(0, 0)]}, "2 network interfaces are on card 0 as device 0"),
        ({"NetworkInterfaces": [efa(1, 1)]}, "no network interface is on card 0 as device 0"),
        ({"NetworkInterfaces": [efa(0, 0, "efa-only")]}, "the primary network interface is efa-only"),
        ({"NetworkInterfaces": [efa(0, 0), efa(1, 1, "efa-only", PrivateIpAddress="10.0.0.1")]}, "takes none"),
        (
            {"NetworkInterfaces": [efa(0, 0, AssociatePublicIpAddress=True), efa(1, 1)]},
            "needs a single network interface",
        ),
        ({"NetworkInterfaces": [{"InterfaceType": "efa", "Groups": ["sg-1"]}]}, "have no DeviceIndex"),
        ({"SecurityGroupIds": ["sg-1"]}, "beside NetworkInterfaces"),
        ({"Placement": {"GroupName": "other"}}, "placement group 'other' does not exist; there are: pg"),
        ({"NetworkInterface": []}, "unknown property LaunchTemplateData.NetworkInterface"),
        ({"NetworkInterfaces": [efa(0, 0, "efas")]}, "efas"),
    ],
)
def test_refusals(change: dict[str, Any], reason: str) -> None:
    assert any(reason in one for one in refusals({**GOOD, **change}, {"pg"}))
