"""Prefill, step and generate on a KV cache that can be moved between processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from numpy.typing import NDArray

from runtime.standins.engine.sampling import Sampling
from runtime.standins.engine.tokenizer import Tokenizer


class Cancelled(Exception):  # noqa: N818 - it is no error: the caller asked for it
    """Tell that the caller cancelled the work."""


def never() -> bool:
    """Never cancel."""
    return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """State the sizes that both sides of a KV handoff must share."""

    layers: int
    kv_heads: int
    head_dim: int
    context: int
    vocabulary: int

    @property
    def kv_bytes_per_token(self) -> int:
        """Return the bytes of K and V, in f16, of one token over all layers."""
        return self.layers * 2 * self.kv_heads * self.head_dim * 2


class Generation(Iterator[int]):
    """Yield tokens; ``finish_reason`` is None until the end, then "stop" or "length"."""

    finish_reason: Literal["stop", "length"] | None

    def __next__(self) -> int:
        """Return the next token."""
        raise NotImplementedError


class Engine:
    """Run the model."""

    geometry: Geometry
    tokenizer: Tokenizer

    @classmethod
    def load(cls, path: Path | None = None, *, threads: int = 2) -> Self:
        """Read the model."""
        raise NotImplementedError

    def new_cache(self, tokens: int) -> NDArray[Any]:
        """Return an empty cache, f16 ``[layers, 2, tokens, kv_heads, head_dim]``; axis 1 is K, V; RoPE is applied to K."""
        raise NotImplementedError

    def prefill(self, tokens: Sequence[int], cache: NDArray[Any], *, cancelled: Callable[[], bool] = never) -> None:
        """Fill ``cache[:, :, :len(tokens)]``; raise ``Cancelled`` between chunks."""
        raise NotImplementedError

    def step(self, token: int, position: int, cache: NDArray[Any]) -> NDArray[Any]:
        """Write the KV of ``token`` at ``position`` and return the f32 logits ``[vocabulary]`` that follow it."""
        raise NotImplementedError

    def generate(
        self,
        prompt: Sequence[int],
        cache: NDArray[Any],
        sampling: Sampling,
        *,
        max_tokens: int,
        cancelled: Callable[[], bool] = never,
    ) -> Generation:
        """Return the tokens that follow ``prompt``, whose KV is in ``cache``."""
        raise NotImplementedError
