"""Say what a load asks of the machines that a deployment file names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tandem.catalog.machines import machines
from tandem.catalog.models import Model, models
from tandem.sizing import demand
from tandem.sizing.demand import Cs3Side, Hosts, Limit, Load
from tandem.sizing.worker import Worker
from tandem.spec.decode import Cs3, VllmDecode
from tandem.spec.deployment import Deployment
from tandem.spec.workers import InstanceGroup


def limits(deployment: Deployment, load: Load, model: Model) -> Iterator[Limit]:
    """Yield the limits that can be known, each group at the most hosts that it is scaled to."""
    table, decode = machines(), deployment.decode
    prefill = hosts(model, deployment.prefill.groups) if deployment.prefill else None
    if prefill:
        yield from demand.prefill_limits(load, model, prefill, table)
    if side := cs3_side(deployment):
        waited = demand.mean_prefill_seconds(load, model, prefill or ())
        yield from demand.cs3_limits(load, model, side, waited, table)
    if isinstance(decode, VllmDecode) and (decoders := hosts(model, decode.groups)):
        yield demand.trainium_decode_limit(load, model, decoders, decode.max_num_seqs)


def cs3_side(deployment: Deployment) -> Cs3Side | None:
    """Return the CS-3 of the deployment, None where it has none or does not say how many."""
    decode = deployment.decode
    if not isinstance(decode, Cs3) or decode.systems is None:
        return None
    context = deployment.model.max_model_len
    return Cs3Side(systems=decode.systems, context=context, endpoints=len(decode.endpoints))


def refused_share(deployment: Deployment, load: Load, model: Model) -> float | None:
    """Return the share of requests that find no memory on the CS-3 side, None where that cannot be known."""
    side = cs3_side(deployment)
    prefill = hosts(model, deployment.prefill.groups) if deployment.prefill else None
    if side is None or prefill is None:
        return None
    waited = demand.mean_prefill_seconds(load, model, prefill)
    return demand.cs3_refused_share(load, model, side, waited, machines())


def share(group: InstanceGroup) -> float:
    """Return the share of a host's chips that its worker uses."""
    return min(1.0, group.tensor_parallel / group.kind.logical_cores) if group.kind else 0.0


def worker(model: Model, group: InstanceGroup) -> Worker | None:
    """Return what a worker of ``group`` reaches, None where its type's chip is not in the catalog."""
    chip = machines().accelerator_of(group.instance_type)
    if group.kind is None or chip is None:
        return None
    chips = group.kind.neuron_devices * share(group)
    return Worker.on(model, chip, chips, machines(), tokens_per_second=group.tokens_per_second)


def prefill_speed(model_id: str, group: InstanceGroup) -> int | None:
    """Return the prompt tokens a second that one worker is taken to prefill: the file's figure, else the catalog's.

    None where neither is known.
    """
    if group.tokens_per_second or (model := models().get(model_id)) is None:
        return group.tokens_per_second
    reached = worker(model, group)
    return int(reached.tokens_per_second(model)) if reached else None


def hosts(model: Model, listed: Sequence[InstanceGroup]) -> list[Hosts] | None:
    """Return the groups as the sizing knows them, or None where a type's chip is not in the catalog."""
    found = []
    for group in listed:
        reached = worker(model, group)
        if group.kind is None or reached is None:
            return None
        used = (group.efa_interfaces or group.kind.efa_interfaces) / max(1, group.kind.efa_interfaces)
        gbps = None if group.kind.network_gbps is None else group.kind.network_gbps * used
        found.append(Hosts(count=group.most, worker=reached, efa_gbps=gbps))
    return found
