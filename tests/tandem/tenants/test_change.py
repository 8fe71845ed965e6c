"""What each change makes of the tenants."""

from __future__ import annotations

import pytest

from runtime.gateway.access.tenants import REVOKED, Keyring, Tenant, digest, identify
from tandem.tenants.change import TenantError, Tenants, add, limit, remove, revoke, rotate, sign

A, B, C = (digest(key) for key in "abc")


def with_acme() -> Tenants:
    return add((Tenant(id="other", keys=(digest("o"),)),), "acme", A, {"concurrency": 4})


def who(key: str, tenants: Tenants) -> str | None:
    found = identify(key, [Keyring(tenants)])
    return found.id if found else None


def test_an_added_tenant_is_known_by_its_key_and_has_its_limits() -> None:
    tenants = with_acme()
    assert (who("a", tenants), who("o", tenants), who("x", tenants)) == ("acme", "other", None)
    assert tenants[-1].limits == {"concurrency": 4}


def test_a_rotation_keeps_the_key_before_until_the_next() -> None:
    once = rotate(with_acme(), "acme", B, at_once=False)
    assert [who(key, once) for key in "ab"] == ["acme", "acme"]
    twice = rotate(once, "acme", C, at_once=False)
    assert [who(key, twice) for key in "abc"] == [None, "acme", "acme"]
    assert twice[-1].limits == {"concurrency": 4}


def test_a_rotation_at_once_refuses_the_key_before() -> None:
    tenants = rotate(with_acme(), "acme", B, at_once=True)
    assert [who(key, tenants) for key in "ab"] == [None, "acme"]


def test_a_tenant_signs_with_its_last_two_pairs_until_it_is_revoked() -> None:
    tenants = with_acme()
    for number in "123":
        tenants = sign(tenants, "acme", f"ID{number}", f"secret{number}", at_once=False)
    assert {key: (tenant.id, secret) for key, (tenant, secret) in Keyring(tenants).signers.items()} == {
        "ID2": ("acme", "secret2"),
        "ID3": ("acme", "secret3"),
    }
    assert who("a", tenants) == "acme"
    assert list(Keyring(sign(tenants, "acme", "ID4", "secret4", at_once=True)).signers) == ["ID4"]
    revoked = revoke(tenants, "acme")
    assert Keyring(revoked).signers == {}
    assert Keyring(add(revoked, "acme", B, {})).signers == {}


def test_a_revoked_tenant_stays_listed_and_comes_back_without_its_old_keys() -> None:
    revoked = revoke(with_acme(), "acme")
    assert [who(key, revoked) for key in "ao"] == [None, "other"]
    assert revoked[-1] == Tenant(id="acme", keys=(), state=REVOKED, limits={"concurrency": 4})
    back = add(revoked, "acme", B, {})
    assert [who(key, back) for key in "ab"] == [None, "acme"]
    assert len(back) == 2


def test_limits_that_are_named_change_and_the_others_stay() -> None:
    changed = limit(with_acme(), "acme", {"requests_per_minute": 60, "weight": 2})
    assert changed[-1].limits == {"concurrency": 4, "requests_per_minute": 60, "weight": 2}
    assert limit(changed, "acme", {"concurrency": None, "weight": 3})[-1].limits == {
        "requests_per_minute": 60,
        "weight": 3,
    }
    assert who("a", changed) == "acme"


def test_limits_of_nobody_and_no_limits_are_refused() -> None:
    with pytest.raises(TenantError, match="no limit of tenant acme is named"):
        limit(with_acme(), "acme", {})
    with pytest.raises(TenantError, match="there is no active tenant acme"):
        limit(revoke(with_acme(), "acme"), "acme", {"weight": 1})


def test_a_tenant_is_forgotten_once_it_is_revoked() -> None:
    with pytest.raises(TenantError, match="tenant acme is active: revoke it first"):
        remove(with_acme(), "acme")
    assert [tenant.id for tenant in remove(revoke(with_acme(), "acme"), "acme")] == ["other"]
    with pytest.raises(TenantError, match="there is no tenant nobody"):
        remove(with_acme(), "nobody")


@pytest.mark.parametrize("tenant_id", ["", "Acme", "a b", "-a", "a" * 64, "ä", "agentcore"])
def test_an_id_that_is_not_allowed_is_refused(tenant_id: str) -> None:
    with pytest.raises(TenantError, match="tenant id"):
        add((), tenant_id, A, {})


def test_a_tenant_that_is_there_is_not_added_again() -> None:
    with pytest.raises(TenantError, match="there already"):
        add(with_acme(), "acme", B, {})


def test_an_unknown_tenant_and_those_that_are_known_are_named() -> None:
    with pytest.raises(TenantError, match="no active tenant acne: active are other, acme"):
        rotate(with_acme(), "acne", B, at_once=False)
    with pytest.raises(TenantError, match="no active tenant acne: active are other, acme"):
        revoke(with_acme(), "acne")
    with pytest.raises(TenantError, match="active are none"):
        revoke((), "acme")
