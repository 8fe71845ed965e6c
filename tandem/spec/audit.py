"""Say who keeps a record."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tandem.spec.section import Section


class Audit(Section):
    """Say who records the use of artifacts, secrets and keys."""

    trail: Annotated[
        Literal["own", "organization"],
        Field(
            description="own: a CloudTrail trail of this deployment (a region has five); organization: the account's "
            "trail records management events and the artifact bucket's object events already"
        ),
    ] = "own"
    retention_days: Annotated[
        int, Field(ge=90, le=3653, description="how long records of a trail of our own are kept")
    ] = 365
