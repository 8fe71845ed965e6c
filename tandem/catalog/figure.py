"""Hold a figure together with where it comes from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Confidence = Literal["high", "medium", "low", "assumed"]


class Entry(BaseModel):
    """Refuse unknown keys in every entry of the catalog."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(Entry):
    """State a positive number; ``assumed`` is one that nobody published, to be replaced by a measurement."""

    value: Annotated[float, Field(gt=0)]
    source: Annotated[str, Field(min_length=1)]
    confidence: Confidence

    def __float__(self) -> float:
        return self.value
