"""Hold what every section of the deployment file shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Zone = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$")]


class Section(BaseModel):
    """Refuse unknown keys and silent conversions in every section."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
