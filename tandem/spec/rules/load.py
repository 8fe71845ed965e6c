"""Check that the machines can carry the declared load, and hold the model at all."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.catalog.models import missing, models
from tandem.sizing.demand import Limit, Load
from tandem.spec.decode import Cs3
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity
from tandem.spec.limits import limits, refused_share, share
from tandem.spec.stages import groups

_BUSY = 0.8
"""From here on queues grow long: in an M/M/1 queue, which prefill resembles, waiting is four times the service."""
_REFUSED = 0.01
_GIB = 2**30


def model_fits(deployment: Deployment) -> Iterator[Finding]:
    """Require that the weights fit the device memory of each worker's cores."""
    model = models().get(deployment.model.id)
    for path, group in groups(deployment):
        kind = group.kind
        if model and kind and (held := kind.hbm_gib * _GIB * share(group)) < model.weight_bytes:
            yield Finding(
                code="model-exceeds-hbm",
                path=f"{path}.tensor_parallel",
                got=f"{held / 1e9:.0f} GB of device memory for {model.weight_bytes / 1e9:.0f} GB of weights",
                allowed="more memory than the weights take",
                change="raise tensor_parallel, or choose an instance type with more memory",
            )


def load_carried(deployment: Deployment) -> Iterator[Finding]:
    """Refuse a load that exceeds what the most hosts can carry, and warn of one that comes near it."""
    if deployment.load is None:
        return
    model = models().get(deployment.model.id)
    if model is None:
        yield _unknown("load-unchecked-model", deployment.model.id, missing(deployment.model.id))
        return
    for limit in limits(deployment, Load(**deployment.load.model_dump()), model):
        if limit.use > _BUSY:
            yield _exceeded(limit)


def load_admitted(deployment: Deployment) -> Iterator[Finding]:
    """Warn where the CS-3 side has memory for the mean of a load, and not for as many requests as come at once."""
    model = models().get(deployment.model.id)
    if deployment.load is None or model is None:
        return
    refused = refused_share(deployment, Load(**deployment.load.model_dump()), model)
    if refused is not None and refused > _REFUSED:
        yield Finding(
            code="load-refused-by-cs-3-memory",
            path="decode.systems",
            got=f"about {refused:.0%} of the requests find no memory, each being held what the gateway takes it for",
            allowed=f"at most {_REFUSED:.0%}; long prompts and bursts make it worse, which tandem simulate shows",
            change="raise decode.systems, shorten prompts, or let gateway.spill_over take what does not fit",
            severity=Severity.WARNING,
        )


def systems_known(deployment: Deployment) -> Iterator[Finding]:
    """Say that a load on CS-3 is checked in part where nobody said how many systems there are."""
    if deployment.load and isinstance(deployment.decode, Cs3) and deployment.decode.systems is None:
        yield _unknown("load-unchecked-cs3", "no decode.systems", "say how many CS-3 systems serve the endpoint")


def _exceeded(limit: Limit) -> Finding:
    over = limit.use >= 1
    return Finding(
        code="load-exceeds-" + limit.resource.lower().replace(" ", "-"),
        path="load",
        got=f"{limit.needed:.3g} {limit.unit} of {limit.resource}, {limit.use:.0%} of what there is",
        allowed=f"{limit.available:.3g} {limit.unit}; more than {_BUSY:.0%} of it queues",
        change="lower the load, or add what is short; tandem/catalog holds the figures and how sure they are",
        severity=Severity.ERROR if over else Severity.WARNING,
    )


def _unknown(code: str, got: str, change: str) -> Finding:
    return Finding(
        code=code, path="load", got=got, allowed="figures of every part", change=change, severity=Severity.INFO
    )
