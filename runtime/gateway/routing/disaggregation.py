"""Decide whether a prompt is worth a prefill worker and the transfer of its KV (conditional disaggregation)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from runtime.gateway.routing.decision import Decision, Reason


class Handoff(StrEnum):
    """Enumerate what a decode peer is given: KV that a worker computed, or text that it prefills by itself."""

    KV = "kv"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """Say from how many tokens, or which share of a prompt, that the decode peer has not cached, KV is handed over.

    The defaults are those of NVIDIA Dynamo's router (``eff_isl_threshold``, ``eff_isl_ratio_threshold``).
    """

    new_tokens: int = 2048
    new_share: float = 0.7


def disaggregate(
    prompt_tokens: int, cached_tokens: int, thresholds: Thresholds, possible: Collection[Handoff]
) -> Decision[Handoff]:
    """Return how a prompt is handed over; ``cached_tokens`` of it are in the decode peer's prefix cache.

    ``possible`` is what peers of this deployment can do at the moment, and must not be empty.
    """
    if Handoff.TEXT not in possible:
        return Decision(Handoff.KV, Reason.NO_TEXT)
    if Handoff.KV not in possible:
        return Decision(Handoff.TEXT, Reason.NO_KV)
    new = max(0, prompt_tokens - cached_tokens)
    if new >= thresholds.new_tokens:
        return Decision(Handoff.KV, Reason.NEW_TOKENS)
    if new >= thresholds.new_share * max(1, prompt_tokens):
        return Decision(Handoff.KV, Reason.NEW_SHARE)
    return Decision(Handoff.TEXT, Reason.CACHED)
