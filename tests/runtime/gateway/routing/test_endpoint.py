"""Which endpoint decodes, and when another provider does."""

from __future__ import annotations

from runtime.gateway.routing.decision import Decision, Reason
from runtime.gateway.routing.endpoint import FULL, Candidate, choose


def kv(peer: str, fill: float = 0.0, in_flight: int = 0) -> Candidate[str]:
    return Candidate(peer=peer, tier=0, fill=fill, in_flight=in_flight)


SPARE = Candidate(peer="spare", tier=1)


def test_the_emptiest_is_chosen() -> None:
    assert choose([kv("a", 0.5), kv("b", 0.2), SPARE]) == Decision("b", Reason.LOAD)


def test_of_equally_full_ones_that_with_fewer_requests_and_then_in_turn() -> None:
    assert choose([kv("a", in_flight=2), kv("b", in_flight=1)]).choice == "b"
    assert [choose([kv("a"), kv("b")], turn=turn).choice for turn in range(4)] == ["a", "b", "a", "b"]


def test_full_endpoints_spill_over() -> None:
    assert choose([kv("a", FULL), kv("b", 1.0), SPARE]) == Decision("spare", Reason.SPILL_OVER)
    assert choose([kv("a", FULL), kv("b", 0.97), SPARE]) == Decision("b", Reason.LOAD)


def test_endpoints_that_are_away_spill_over() -> None:
    assert choose([SPARE]) == Decision("spare", Reason.SPILL_OVER)


def test_without_another_provider_the_emptiest_of_the_full_is_asked() -> None:
    assert choose([kv("a", 1.0), kv("b", 0.99)]) == Decision("b", Reason.ALL_FULL)
    assert choose([kv("a", 1.0)]) == Decision("a", Reason.ONLY)
