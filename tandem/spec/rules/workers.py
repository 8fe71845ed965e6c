"""Check the worker sections: instance groups, ports, KV blocks."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.spec.capacity import drain_seconds
from tandem.spec.decode import VllmDecode
from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity
from tandem.spec.instances import INSTANCE_TYPES
from tandem.spec.stages import groups, stages


def instance_types_known(deployment: Deployment) -> Iterator[Finding]:
    """Require instance types whose cards and cores are known."""
    for path, group in groups(deployment):
        if group.kind is None:
            yield Finding(
                code="instance-type-unknown",
                path=f"{path}.instance_type",
                got=group.instance_type,
                allowed=", ".join(INSTANCE_TYPES),
                change="name a Trainium type, or say in instance_facts what this one has",
            )


def instance_facts_own(deployment: Deployment) -> Iterator[Finding]:
    """Warn that nobody but the user vouches for the facts of a type."""
    for path, group in groups(deployment):
        if group.instance_facts:
            yield Finding(
                code="instance-facts-own",
                path=f"{path}.instance_facts",
                got=f"your own facts of {group.instance_type}",
                allowed=", ".join(INSTANCE_TYPES) + ": types whose facts have a published source",
                change="compare them with the instance before you rely on them; sizes and devices follow from them",
                severity=Severity.WARNING,
            )


def efa_fits_cards(deployment: Deployment) -> Iterator[Finding]:
    """Require one EFA interface a card at most, and room on card 0 for the layout that has two interfaces there."""
    for path, group in groups(deployment):
        kind = group.kind
        if kind and kind.efa_interfaces > kind.network_cards:
            yield Finding(
                code="efa-interfaces-exceed-cards",
                path=f"{path}.instance_facts.efa_interfaces",
                got=f"{kind.efa_interfaces} on {kind.network_cards} network cards",
                allowed="one a network card",
                change="correct the facts",
            )
        if kind and group.efa_layout == "ena-plus-efa-only" and kind.interfaces_per_card < 2:
            yield Finding(
                code="efa-layout-impossible",
                path=f"{path}.efa_layout",
                got=f"{group.efa_layout} on {kind.name}, whose cards carry one interface",
                allowed="efa; ena-plus-efa-only needs two interfaces on card 0",
                change="leave it out",
            )


def efa_supported(deployment: Deployment) -> Iterator[Finding]:
    """Require EFA, by which KV is handed over, and no more interfaces than the type has."""
    for path, group in groups(deployment):
        kind = group.kind
        if kind and kind.efa_interfaces == 0:
            yield Finding(
                code="efa-unsupported",
                path=f"{path}.instance_type",
                got=f"{kind.name}, which has no EFA",
                allowed=", ".join(name for name, other in INSTANCE_TYPES.items() if other.efa_interfaces),
                change="choose a type with EFA: the KV cache is handed over by it",
            )
        elif kind and (group.efa_interfaces or 0) > kind.efa_interfaces:
            yield Finding(
                code="efa-interfaces-exceeded",
                path=f"{path}.efa_interfaces",
                got=str(group.efa_interfaces),
                allowed=f"1 to {kind.efa_interfaces} on {kind.name}",
                change="lower it, or leave it out to use every interface",
            )


def efa_device_without_nic(deployment: Deployment) -> Iterator[Finding]:
    """Warn where a Neuron device lacks the EFA interface that NIXL pairs it with (ai-dynamo/nixl#1994)."""
    for path, group in groups(deployment):
        kind = group.kind
        interfaces = group.efa_interfaces or (kind.efa_interfaces if kind else 0)
        if kind and kind.name == "trn2.3xlarge":
            got, change = kind.name, "use trn2.48xlarge; trn2.3xlarge is reported as unsupported by NIXL"
        elif kind and 0 < interfaces < kind.efa_interfaces:
            got, change = f"{interfaces} of {kind.efa_interfaces} interfaces", "attach every interface"
        else:
            continue
        yield Finding(
            code="efa-device-without-interface",
            path=path,
            got=got,
            allowed="an EFA interface for each Neuron device",
            change=change,
            severity=Severity.WARNING,
        )


def tensor_parallel_fits(deployment: Deployment) -> Iterator[Finding]:
    """Require that a worker use no more logical NeuronCores than its host has."""
    for path, group in groups(deployment):
        kind = group.kind
        if kind and group.tensor_parallel > kind.logical_cores:
            yield Finding(
                code="tensor-parallel-exceeds-cores",
                path=f"{path}.tensor_parallel",
                got=str(group.tensor_parallel),
                allowed=f"1 to {kind.logical_cores} on {kind.name}",
                change="lower it, or choose a larger type",
            )


def group_names_unique(deployment: Deployment) -> Iterator[Finding]:
    """Require different names for the instance groups of one stage."""
    for stage, workers in stages(deployment):
        names = [group.name for group in workers.groups]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Finding(
                code="group-name-repeated",
                path=f"{stage}.groups",
                got=name,
                allowed="a name of its own for each group",
                change="rename one",
            )


def ports_distinct(deployment: Deployment) -> Iterator[Finding]:
    """Require a port of its own for each of a worker's servers, which share the host's network."""
    for stage, workers in stages(deployment):
        taken = {workers.api_port}
        for name in ("side_channel_port", "status_port"):
            port = getattr(workers, name)
            if port in taken:
                yield Finding(
                    code="port-repeated",
                    path=f"{stage}.{name}",
                    got=str(port),
                    allowed="another port than the worker's other servers have",
                    change="change one of them",
                )
            taken.add(port)


def block_size_divides(deployment: Deployment) -> Iterator[Finding]:
    """Require the context to be a whole number of KV blocks."""
    for stage, workers in stages(deployment):
        if deployment.model.max_model_len % workers.block_size:
            yield Finding(
                code="block-size-uneven",
                path=f"{stage}.block_size",
                got=str(workers.block_size),
                allowed=f"a divisor of model.max_model_len ({deployment.model.max_model_len})",
                change="change one of the two",
            )


def block_sizes_equal(deployment: Deployment) -> Iterator[Finding]:
    """Require equal KV blocks on both sides, as vLLM's connector does."""
    if not (deployment.prefill and isinstance(deployment.decode, VllmDecode)):
        return
    if deployment.prefill.block_size != deployment.decode.block_size:
        yield Finding(
            code="block-size-differs",
            path="decode.block_size",
            got=str(deployment.decode.block_size),
            allowed=f"prefill.block_size ({deployment.prefill.block_size})",
            change="make them equal",
        )


def connector_suits_model(deployment: Deployment) -> Iterator[Finding]:
    """Warn where vLLM's own connector would hand over gpt-oss, whose sliding windows need Neuron's connector."""
    model = deployment.model
    if deployment.prefill and "gpt-oss" in model.id.lower() and model.kv_connector != "NeuronNixlConnector":
        yield Finding(
            code="connector-without-windows",
            path="model.kv_connector",
            got=model.kv_connector,
            allowed="NeuronNixlConnector for a model with sliding windows (vllm-neuron, disaggregated inference)",
            change="set it to NeuronNixlConnector",
            severity=Severity.WARNING,
        )


def warm_start_within_start(deployment: Deployment) -> Iterator[Finding]:
    """Require a start that compiles nothing to be given no longer than one that does."""
    for path, workers in stages(deployment):
        if workers.warm_start_seconds > workers.start_seconds:
            yield Finding(
                code="warm-start-exceeds-start",
                path=f"{path}.warm_start_seconds",
                got=str(workers.warm_start_seconds),
                allowed=f"at most start_seconds, {workers.start_seconds}",
                change="lower it, or raise start_seconds",
            )


def lease_within_drain(deployment: Deployment) -> Iterator[Finding]:
    """Warn of KV that may wait for its reader longer than a worker that stops does."""
    for path, workers in stages(deployment):
        drain = min(drain_seconds(group.capacity) for group in workers.groups)
        if workers.kv_lease_seconds > drain:
            yield Finding(
                code="lease-exceeds-drain",
                path=f"{path}.kv_lease_seconds",
                got=str(workers.kv_lease_seconds),
                allowed=f"up to {drain} s, which a worker that stops waits for readers (75 on Spot hosts, else 105)",
                change="shorten the lease, or accept that a request may fail when its worker stops",
                severity=Severity.WARNING,
            )
