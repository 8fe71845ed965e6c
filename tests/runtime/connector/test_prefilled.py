"""A prompt is complete in the step that computes its last token, with all the blocks that it was ever given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from runtime.connector.prefilled import Prefilled, Prompts
from runtime.handoff import fields


def request(name: str, num_tokens: int, params: dict[str, Any] | None = None) -> Any:
    params = dict(fields.PREFILL_REQUEST) if params is None else params
    return SimpleNamespace(request_id=name, num_prompt_tokens=num_tokens, kv_transfer_params=params)


def step(
    *new: tuple[str, list[int], int, int], known: tuple[Any, ...] = (), resumed: frozenset[str] = frozenset()
) -> Any:
    """Make a step of (name, blocks, computed before, scheduled now), as vLLM's ``SchedulerOutput`` has them."""
    return SimpleNamespace(
        scheduled_new_reqs=[
            SimpleNamespace(req_id=name, block_ids=(blocks,), num_computed_tokens=before)
            for name, blocks, before, _ in new
        ],
        scheduled_cached_reqs=SimpleNamespace(
            req_ids=[name for name, *_ in known],
            new_block_ids=[None if blocks is None else (blocks,) for _, blocks, _, _ in known],
            num_computed_tokens=[before for *_, before, _ in known],
            resumed_req_ids=resumed,
        ),
        num_scheduled_tokens={name: now for name, *_, now in (*new, *known)},
    )


def test_a_prompt_of_one_step_is_complete_at_once() -> None:
    prompts = Prompts()
    prompts.begin(request("a", 35))
    assert prompts.completed(step(("a", [7, 3], 0, 35))) == {"a": Prefilled((7, 3), 35)}


def test_a_prompt_of_several_steps_keeps_its_blocks_together() -> None:
    prompts = Prompts()
    prompts.begin(request("a", 100))
    assert prompts.completed(step(("a", [7], 0, 32))) == {}
    assert prompts.completed(step(known=(("a", [3], 32, 32),))) == {}
    assert prompts.completed(step(known=(("a", None, 64, 36),))) == {"a": Prefilled((7, 3), 100)}


def test_a_preempted_prompt_begins_anew_in_other_blocks() -> None:
    prompts = Prompts()
    prompts.begin(request("a", 64))
    prompts.completed(step(("a", [7], 0, 32)))
    again = step(known=(("a", [1, 2], 0, 64),), resumed=frozenset({"a"}))
    assert prompts.completed(again) == {"a": Prefilled((1, 2), 64)}


def test_blocks_that_the_prefix_cache_gave_count() -> None:
    prompts = Prompts()
    prompts.begin(request("a", 40))
    assert prompts.completed(step(("a", [9, 4], 32, 8))) == {"a": Prefilled((9, 4), 40)}


def test_what_nobody_will_read_is_not_followed() -> None:
    prompts = Prompts()
    prompts.begin(request("plain", 4, {}))
    prompts.begin(request("ended", 4))
    prompts.end(request("ended", 4))
    assert prompts.completed(step(("plain", [1], 0, 4), ("ended", [2], 0, 4), ("unknown", [3], 0, 4))) == {}
