"""Keep blocks until all have read them or time is up; time is passed in."""

from __future__ import annotations

import pytest

from runtime.standins.vllm.leases import Leases

SECONDS = 30.0


@pytest.fixture
def leases() -> Leases:
    leases = Leases(SECONDS)
    leases.grant("a", (1, 2), now=0)
    return leases


def test_the_last_reader_ends_a_lease(leases: Leases) -> None:
    assert leases.read("a", 2) is None
    assert leases.read("a", 2) == (1, 2)
    assert len(leases) == 0


def test_a_reader_without_lease_is_an_error(leases: Leases) -> None:
    leases.read("a", 1)
    with pytest.raises(KeyError):
        leases.read("a", 1)


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
