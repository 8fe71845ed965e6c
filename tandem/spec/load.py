"""Model the traffic that a deployment is meant to carry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tandem.spec.section import Section

_Rate = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_Tokens = Annotated[int, Field(ge=1, le=10_000_000)]


class DeclaredLoad(Section):
    """State steady traffic by its means: what cannot carry it does not synthesize."""

    requests_per_second: _Rate
    prompt_tokens: Annotated[_Tokens, Field(description="of a mean request, what the prefix cache holds included")]
    answer_tokens: Annotated[_Tokens, Field(description="of a mean request")]
    cached_share: Annotated[
        float, Field(ge=0, lt=1, allow_inf_nan=False, description="share of a prompt found in a worker's prefix cache")
    ] = 0.0
