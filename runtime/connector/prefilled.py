"""Follow the prompts that are prefilled for a remote decoder, in vLLM's scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.handoff import fields


@dataclass(frozen=True, slots=True)
class Prefilled:
    """Say in which blocks the KV of a whole prompt lies."""

    blocks: tuple[int, ...]
    num_tokens: int


class Prompts:
    """Tell in which step a prompt's last token is computed.

    Arguments are vLLM's own ``Request`` and ``SchedulerOutput``. A prompt may take several steps, and be preempted and
    begun anew in other blocks.
    """

    def __init__(self) -> None:
        self._lengths: dict[str, int] = {}
        self._blocks: dict[str, list[int]] = {}

    def begin(self, request: Any) -> None:
        """Follow a new request if its KV is for a remote decoder."""
        if (request.kv_transfer_params or {}).get(fields.DO_REMOTE_DECODE):
            self._lengths[request.request_id] = request.num_prompt_tokens

    def end(self, request: Any) -> None:
        """Forget a request that has ended, however it did."""
        self._lengths.pop(request.request_id, None)
        self._blocks.pop(request.request_id, None)

    def completed(self, step: Any) -> dict[str, Prefilled]:
        """Return the prompts that this step completes, by request id."""
        done = {}
        for name, groups, resumed, computed in _scheduled(step):
            if name not in self._lengths:
                continue
            held = [] if resumed else self._blocks.get(name, [])
            # models with several groups of KV layers are not sealed: their one list of blocks would not do
            self._blocks[name] = held + list(groups[0] if groups and len(groups) == 1 else ())
            if computed + step.num_scheduled_tokens[name] == self._lengths[name]:
                done[name] = Prefilled(tuple(self._blocks[name]), self._lengths[name])
        return done


def _scheduled(step: Any) -> Iterator[tuple[str, Any, bool, int]]:
    """Yield request id, new blocks by group, whether they replace the old ones, and the tokens computed before."""
    for new in step.scheduled_new_reqs:
        yield new.req_id, new.block_ids, True, new.num_computed_tokens
    known = step.scheduled_cached_reqs
    for name, groups, computed in zip(known.req_ids, known.new_block_ids, known.num_computed_tokens, strict=True):
        yield name, groups, name in known.resumed_req_ids, computed
