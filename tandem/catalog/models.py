"""Read how large models are and what their KV cache takes, from ``models.yaml``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field

from tandem.catalog.figure import Confidence, Entry, Figure

_FILE = Path(__file__).with_name("models.yaml")
_Count = Annotated[int, Field(gt=0)]
_Size = Annotated[float, Field(gt=0)]


class Heads(Entry):
    """Describe grouped-query attention: K and V of ``kv_heads`` are kept."""

    kv_heads: _Count
    head_dim: _Count

    @property
    def width(self) -> int:
        """KV elements of one token in one layer."""
        return 2 * self.kv_heads * self.head_dim


class Latent(Entry):
    """Describe multi-head latent attention: one latent and the rotated part of the key are kept.

    ``head_dim`` is the mean of a query's and a value's width, by which attention's work is counted.
    """

    latent: _Count
    rope_dim: _Count
    head_dim: _Count

    @property
    def width(self) -> int:
        """KV elements of one token in one layer."""
        return self.latent + self.rope_dim


class Windows(Entry):
    """Say how many layers keep no more than the last ``tokens`` tokens."""

    layers: _Count
    tokens: _Count


class Model(Entry):
    """Describe one model by sizes from ``source``.

    ``tokens_per_second`` is a single stream's speed at Cerebras, where one was published.
    """

    ids: Annotated[tuple[str, ...], Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    confidence: Confidence
    parameters: _Size
    active_parameters: _Size | None = None
    bytes_per_parameter: _Size = 2.0
    layers: _Count
    query_heads: _Count
    attention: Heads | Latent
    windows: Windows | None = None
    tokens_per_second: Figure | None = None

    @property
    def active(self) -> float:
        """Parameters that one token passes through."""
        return self.active_parameters or self.parameters

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights."""
        return self.parameters * self.bytes_per_parameter

    def kv_bytes(self, tokens: int | float, element_bytes: int = 2) -> float:
        """Return what the KV cache of ``tokens`` takes, windows clipped."""
        windowed = self.windows.layers if self.windows else 0
        kept = min(tokens, self.windows.tokens) if self.windows else 0
        return self.attention.width * element_bytes * ((self.layers - windowed) * tokens + windowed * kept)


class Unknown(Entry):
    """Name models whose sizes nobody tells, and ``why`` that is."""

    ids: Annotated[tuple[str, ...], Field(min_length=1)]
    why: Annotated[str, Field(min_length=1)]


class _Table(Entry):
    models: tuple[Model, ...]
    unknown: tuple[Unknown, ...]


@functools.cache
def _table() -> _Table:
    return _Table.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))


@functools.cache
def models() -> dict[str, Model]:
    """Return the models that ship with Tandem, by id; another model's figures are unknown."""
    return {name: model for model in _table().models for name in model.ids}


def missing(model_id: str) -> str:
    """Say what is to be done about a model that is not among ``models``, or why nothing can be."""
    for entry in _table().unknown:
        if model_id in entry.ids:
            return f"the figures of {model_id} are unknown: {entry.why}"
    known = ", ".join(sorted(models()))
    return f"model {model_id} is not in the catalog, which has {known}: add it to models.yaml"
