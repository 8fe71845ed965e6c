"""Say what a load asks of the machines that a deployment file names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tandem.catalog.machines import machines
from tandem.catalog.models import Model
from tandem.sizing import demand
from tandem.sizing.demand import Hosts, Limit, Load
from tandem.spec.deployment import Cs3, Deployment, InstanceGroup, VllmDecode


def limits(deployment: Deployment, load: Load, model: Model) -> Iterator[Limit]:
    """Yield the limits that can be known, each group at the most hosts that it is scaled to."""
    table, decode = machines(), deployment.decode
    prefill = _hosts(deployment.prefill.groups) if deployment.prefill else None
    if prefill:
        yield from demand.prefill_limits(load, model, prefill, table)
    if isinstance(decode, Cs3) and decode.systems:
        waited = demand.mean_prefill_seconds(load, model, prefill or (), table)
        yield from demand.cs3_limits(load, model, decode.systems, waited, table)
    if isinstance(decode, VllmDecode) and (decoders := _hosts(decode.groups)):
        yield demand.trainium_decode_limit(load, model, decoders, decode.max_num_seqs, table)


def share(group: InstanceGroup) -> float:
    """Return the share of a host's chips that its worker uses."""
    return min(1.0, group.tensor_parallel / group.kind.logical_cores) if group.kind else 0.0


def _hosts(listed: Sequence[InstanceGroup]) -> list[Hosts] | None:
    """Return the groups as the sizing knows them, or None where a type's chip is not in the catalog."""
    found = []
    for group in listed:
        kind, chip = group.kind, machines().accelerator_of(group.instance_type)
        if kind is None or chip is None:
            return None
        used = (group.efa_interfaces or kind.efa_interfaces) / max(1, kind.efa_interfaces)
        gbps = None if kind.network_gbps is None else kind.network_gbps * used
        found.append(Hosts(count=group.most, chip=chip, chips=kind.neuron_devices * share(group), efa_gbps=gbps))
    return found
