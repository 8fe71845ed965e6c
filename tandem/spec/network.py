"""Say where the deployment is in AWS."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tandem.spec.patterns import Cidr, Zone
from tandem.spec.section import Section


class Network(Section):
    """Lay out the VPC: EFA reaches no further than one subnet in one zone, a load balancer needs two zones."""

    cidr: Cidr = "10.40.0.0/16"
    efa_zone: Zone
    load_balancer_zones: Annotated[list[Zone], Field(min_length=2, max_length=3)]
