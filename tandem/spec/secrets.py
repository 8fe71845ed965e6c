"""Say how often keys are replaced."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tandem.spec.section import Section


class Secrets(Section):
    """Say how often keys of our own making are replaced."""

    rotation_days: Annotated[
        int,
        Field(ge=1, le=365, description="days between two rotations; the key before stays valid until the next one"),
    ] = 30
