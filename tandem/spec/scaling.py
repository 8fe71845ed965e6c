"""Model when hosts of prefill groups come and go."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from tandem.spec.section import Section

ASSUMED_TOKENS_PER_SECOND: Final = 8192
"""What a worker is taken to prefill a second where the catalog (tandem/catalog) knows its model or chip as little as
the file does: half of what it has for a dense model of 70B parameters on a trn2.48xlarge, so that hosts come early
rather than late."""


class PrefillScaling(Section):
    """Say how groups with bounds follow the prompts; a group without bounds keeps its size."""

    queue_seconds: Annotated[
        int,
        Field(ge=10, le=3600, description="in how long waiting prompts are to be worked off; more than one takes"),
    ] = 60
    brake_fill: Annotated[
        float,
        Field(gt=0, le=1, description="share of decode memory reserved, from which no host is added: decode is full"),
    ] = 0.9
    scale_in_minutes: Annotated[
        int, Field(ge=15, le=1440, description="how long a host must be spare before it goes; a new one starts slowly")
    ] = 30
