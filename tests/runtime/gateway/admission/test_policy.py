"""Nobody exceeds its rates or starves another, and whoever waits as told is taken."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.admission.limits import Capacity, Limits
from runtime.gateway.admission.line import Place
from runtime.gateway.admission.policy import GREED, Admission, Reason, Refused
from tests.runtime.gateway.admission.crowd import Crowd

ROOMY = Capacity(running=10, waiting=1000, wait_seconds=1e9)
FREE = Limits()
ARRIVALS = st.lists(
    st.tuples(st.floats(0, 30), st.sampled_from("abc"), st.integers(1, 400)), min_size=1, max_size=60
).map(lambda all_: sorted(all_))
LIMITS = st.builds(
    Limits,
    requests_per_minute=st.none() | st.floats(1, 600),
    tokens_per_minute=st.none() | st.floats(10, 1e5),
    concurrency=st.none() | st.integers(1, 4),
    weight=st.integers(1, 4),
)
CAPACITIES = st.builds(Capacity, running=st.integers(1, 8), waiting=st.integers(1, 12), wait_seconds=st.floats(0.5, 10))


def crowd(capacity: Capacity, limits: dict[str, Limits], arrivals: list[tuple[float, str, int]]) -> Crowd:
    made = Crowd(capacity, limits, seconds=lambda tenant: 0.5 + ord(tenant) % 3)
    for time, tenant, cost in arrivals:
        made.come(time, tenant, cost)
    return made


@given(CAPACITIES, st.fixed_dictionaries(dict.fromkeys("abc", LIMITS)), ARRIVALS)
def test_everybody_runs_or_is_refused_once_and_no_bound_is_broken(
    capacity: Capacity, limits: dict[str, Limits], arrivals: list[tuple[float, str, int]]
) -> None:
    made = crowd(capacity, limits, arrivals)

    def check() -> None:
        assert made.admission.running <= capacity.running
        assert made.admission.waiting <= capacity.waiting

    for time, _, _ in arrivals:
        made.at(time, check)
    made.run()
    assert len(made.began) + len(made.refused) == len(arrivals)
    assert (made.admission.running, made.admission.waiting) == (0, 0)


@given(CAPACITIES, st.fixed_dictionaries(dict.fromkeys("abc", LIMITS)), ARRIVALS, st.randoms())
def test_whoever_is_refused_and_waits_as_told_is_taken(
    capacity: Capacity,
    limits: dict[str, Limits],
    arrivals: list[tuple[float, str, int]],
    choice: random.Random,
) -> None:
    first = crowd(capacity, limits, arrivals)
    first.run()
    if not first.refused:
        return
    time, tenant, cost, refusal = choice.choice(first.refused)
    again = crowd(capacity, limits, [arrival for arrival in arrivals if arrival[0] <= time])
    took: list[Place | Refused] = []
    waited: list[int] = []

    def retry() -> None:
        waited.append(again.admission.waiting)
        took.append(again.admission.offer(tenant, limits[tenant], cost, again.now))

    again.at(time + refusal.retry_after, retry)
    again.run()
    assert isinstance(took[0], Place), took
    assert refusal.reason is not Reason.WAITED or waited == [0]


def test_a_request_is_told_the_longest_of_what_it_lacks() -> None:
    admission = Admission(Capacity(running=1, waiting=1, wait_seconds=30))
    limits = Limits(requests_per_minute=12)
    for _ in range(2):
        assert isinstance(admission.offer("a", limits, 1, 0.0), Place)
        list(admission.begin())
    assert admission.offer("a", limits, 1, 0.0) == Refused(Reason.REQUEST_RATE, 30)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 1000)), min_size=80, max_size=120),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_while_both_wait_each_is_given_tokens_by_its_weight(
    asked: list[tuple[str, int]], weight_a: int, weight_b: int
) -> None:
    limits = {"a": Limits(weight=weight_a), "b": Limits(weight=weight_b)}
    one = Capacity(running=1, waiting=1000, wait_seconds=1e9)
    made = Crowd(one, limits)
    for tenant, cost in asked:
        made.come(0.0, tenant, cost)
    made.run()
    # the bound of start-time fair queueing: a largest request of each, by weight
    bound = sum(
        max((cost for name, cost in asked if name == tenant), default=0) / limits[tenant].weight for tenant in "ab"
    )
    left = Counter(tenant for tenant, _ in asked[1:])
    given_: Counter[str] = Counter()
    for _, place in made.began[1:]:  # the very first ran before anybody waited
        if not left["a"] or not left["b"]:
            break
        given_[place.tenant] += place.cost
        left[place.tenant] -= 1
        assert abs(given_["a"] / weight_a - given_["b"] / weight_b) <= bound


def test_one_that_floods_with_long_requests_leaves_room_for_whoever_comes_next() -> None:
    capacity = Capacity(running=100, waiting=100, wait_seconds=10)
    made = Crowd(capacity, {"greedy": FREE, "meek": FREE}, seconds=lambda _: 3600.0)
    for number in range(5000):
        made.come(number / 1000, "greedy")
    made.come(5.0, "meek")
    made.run()
    assert [time for time, place in made.began if place.tenant == "meek"] == [5.0]
    at_once = [time for time, place in made.began if place.tenant == "greedy" and time <= 5]
    assert len(at_once) == 100 * GREED // (GREED + 1)


def test_who_waited_in_vain_is_next_once_everybody_who_waits_now_has_left() -> None:
    admission = Admission(Capacity(running=1, waiting=10, wait_seconds=7))
    places = [admission.offer("a", FREE, 1, now) for now in (0.0, 0.0, 5.0)]
    running, first, second = places
    assert isinstance(running, Place)
    assert running.running
    assert list(admission.begin()) == []
    assert isinstance(first, Place)
    assert isinstance(second, Place)
    assert admission.expire(first, 7.0) == Refused(Reason.WAITED, 7)
    assert second.deadline < 7 + 7


def test_a_full_line_of_one_tenant_is_not_full_for_another() -> None:
    admission = Admission(Capacity(running=1, waiting=10, wait_seconds=5))
    for _ in range(50):
        admission.offer("greedy", FREE, 1, 0.0)
        list(admission.begin())
    refused = admission.offer("greedy", FREE, 1, 1.0)
    assert refused == Refused(Reason.QUEUE_FULL, 4)
    assert isinstance(admission.offer("meek", FREE, 1, 1.0), Place)


def test_time_that_a_tenant_lets_pass_is_no_credit() -> None:
    one = Capacity(running=1, waiting=1000, wait_seconds=1e9)
    made = Crowd(one, {"early": FREE, "late": FREE})
    for _ in range(100):
        made.come(0.0, "early")
        made.come(50.0, "late")
    made.run()
    shared = Counter(place.tenant for time, place in made.began if 51 <= time < 91)
    assert shared == {"early": 20, "late": 20}


def test_a_tenant_at_its_own_limit_waits_and_holds_up_nobody() -> None:
    made = Crowd(ROOMY, {"a": Limits(concurrency=2), "b": FREE})
    for _ in range(6):
        made.come(0.0, "a")
    made.come(0.0, "b")
    made.run()
    assert Counter(time for time, place in made.began if place.tenant == "a") == {0.0: 2, 1.0: 2, 2.0: 2}
    assert [time for time, place in made.began if place.tenant == "b"] == [0.0]


def test_who_never_ran_is_not_charged() -> None:
    admission = Admission(Capacity(running=1, waiting=5, wait_seconds=5))
    limits = Limits(requests_per_minute=12)  # two at once
    first, second = (admission.offer("a", limits, 1, 0.0) for _ in range(2))
    assert isinstance(first, Place)
    assert isinstance(second, Place)
    assert (first.running, list(admission.begin())) == (True, [])
    assert admission.offer("a", limits, 1, 0.0) == Refused(Reason.REQUEST_RATE, 5)
    admission.leave(second)
    assert isinstance(admission.offer("a", limits, 1, 0.0), Place)


def test_a_share_of_several_gateways_divides_what_adds_up() -> None:
    limits = Limits(requests_per_minute=60, tokens_per_minute=1000, concurrency=5, weight=3).among(2)
    assert limits == Limits(requests_per_minute=30, tokens_per_minute=500, concurrency=3, weight=3)
    assert FREE.among(2) == FREE


@pytest.mark.parametrize("seed", range(3))
def test_in_a_busy_hour_the_meek_keep_their_share_and_rates_hold(seed: int) -> None:
    """Two tenants send too much, one within its rate, one a little: the little one is never refused nor late."""
    draw = random.Random(seed)  # noqa: S311 - a simulation
    limits = {"flood": FREE, "burst": Limits(weight=2), "metered": Limits(requests_per_minute=60), "meek": FREE}
    made = Crowd(Capacity(running=40, waiting=60, wait_seconds=10), limits, seconds=lambda _: draw.expovariate(1 / 4))
    for tenant, rate in {"flood": 30.0, "burst": 10.0, "metered": 3.0, "meek": 0.2}.items():
        time = 0.0
        while (time := time + draw.expovariate(rate)) < 600:
            made.come(time, tenant, draw.randint(100, 4000))
    made.run()
    refused = Counter(tenant for _, tenant, _, _ in made.refused)
    assert refused["meek"] == 0
    assert sum(place.tenant == "metered" for _, place in made.began) <= 60 * 10 + 10
    assert refused["flood"] > 1000
    late = [time - (place.deadline - 10) for time, place in made.began if place.tenant == "meek"]
    assert max(late) < 2
