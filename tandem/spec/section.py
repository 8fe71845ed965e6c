"""Hold what every section of the deployment file shares."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Refuse unknown keys and silent conversions in every section."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
