"""Keep blocks until all have read them or time is up; time is passed in."""

from __future__ import annotations

import pytest

from runtime.handoff.lease import Leases, Notice

SECONDS = 30.0


@pytest.fixture
def leases() -> Leases:
    leases = Leases(SECONDS)
    leases.grant("a", (1, 2), now=0)
    return leases


def test_the_last_reader_ends_a_lease(leases: Leases) -> None:
    assert leases.read("a", sender="x", readers=2) == (Notice.COUNTED, ())
    assert leases.read("a", sender="y", readers=2) == (Notice.FREED, (1, 2))
    assert len(leases) == 0


def test_a_notification_that_comes_twice_counts_once(leases: Leases) -> None:
    assert leases.read("a", sender="x", readers=2) == (Notice.COUNTED, ())
    assert leases.read("a", sender="x", readers=2) == (Notice.REPEATED, ())
    leases.read("a", sender="y", readers=2)
    assert leases.read("a", sender="y", readers=2) == (Notice.REPEATED, ())


def test_a_reader_without_lease_is_late(leases: Leases) -> None:
    leases.expire(now=SECONDS)
    assert leases.read("a", sender="x", readers=1) == (Notice.LATE, ())
    assert leases.read("unknown", sender="x", readers=1) == (Notice.LATE, ())


def test_an_aborted_lease_frees_once(leases: Leases) -> None:
    assert leases.abort("a") == (1, 2)
    assert leases.abort("a") == ()
    assert leases.read("a", sender="x", readers=1) == (Notice.LATE, ())


def test_a_request_has_one_lease(leases: Leases) -> None:
    with pytest.raises(ValueError, match="has a lease already"):
        leases.grant("a", (3,), now=0)


def test_a_lease_ends_at_its_time_and_once(leases: Leases) -> None:
    assert leases.expire(now=SECONDS - 0.001) == {}
    assert leases.expire(now=SECONDS) == {"a": (1, 2)}
    assert leases.expire(now=SECONDS) == {}


def test_a_heartbeat_extends_to_two_thirds_of_a_lease_from_now(leases: Leases) -> None:
    leases.extend(["a", "unknown"], now=25)
    assert leases.expire(now=44.9) == {}
    assert leases.expire(now=45) == {"a": (1, 2)}


def test_an_early_heartbeat_shortens_nothing(leases: Leases) -> None:
    leases.extend(["a"], now=1)
    assert leases.expire(now=SECONDS - 0.001) == {}
