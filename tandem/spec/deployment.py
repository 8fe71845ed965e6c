"""Model the deployment file.

Here, and in the sections' modules, stands what one field alone must satisfy; what several fields must satisfy together
is a rule (``rules/``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.spec.audit import Audit
from tandem.spec.decode import Decode
from tandem.spec.gateway import Gateway
from tandem.spec.load import DeclaredLoad
from tandem.spec.model import Model
from tandem.spec.network import Network
from tandem.spec.observability import Observability
from tandem.spec.patterns import Name
from tandem.spec.registration import NoRegistration, Registration
from tandem.spec.secrets import Secrets
from tandem.spec.section import Section
from tandem.spec.workers import Prefill

Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
Account = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]


class Deployment(Section):
    """Describe one deployment: the whole file."""

    version: Literal[1]
    name: Name
    region: Region
    account: Account | None = None
    model: Model
    network: Network
    prefill: Prefill | None = None
    decode: Decode
    gateway: Gateway = Gateway()
    registration: Registration = NoRegistration(registrar="none")
    secrets: Secrets = Secrets()
    observability: Observability = Observability()
    audit: Audit = Audit()
    load: Annotated[DeclaredLoad | None, Field(description="the traffic that the deployment must carry")] = None
