"""Read from a deployment file what is to be simulated, with the catalog's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from runtime.gateway.admission.limits import Capacity, Limits
from runtime.gateway.routing.disaggregation import Thresholds
from tandem.catalog.machines import Machines, machines
from tandem.catalog.models import Model, missing, models
from tandem.simulation.site import Pool, Scaling, Site, TextSide, Wafers
from tandem.sizing import legs
from tandem.spec.decode import Cs3, OpenAi, VllmDecode
from tandem.spec.demand import Demand
from tandem.spec.deployment import Deployment
from tandem.spec.limits import hosts
from tandem.spec.workers import InstanceGroup, Workers

_GIGA: Final = 1e9
UNBOUNDED: Final = 1e18
"""Bytes, or bytes a second, of what is not known to be short."""


class UnknownFigureError(ValueError):
    """Say which figure is missing, and where to add it."""


def site_of(deployment: Deployment) -> Site:
    """Return the site of ``deployment``, its prefill groups at their first size; raise ``UnknownFigureError``."""
    model, table = known_model(deployment), machines()
    decode, taken = deployment.decode, deployment.gateway.admission
    workers: Workers | None = deployment.prefill or (decode if isinstance(decode, VllmDecode) else None)
    return Site(
        model=model,
        context=deployment.model.max_model_len,
        prefill=_prefill(model, deployment),
        decode=_decode(model, decode, table),
        max_num_seqs=workers.max_num_seqs if workers else 1,
        decode_max_num_seqs=decode.max_num_seqs if isinstance(decode, VllmDecode) else 1,
        max_num_batched_tokens=int(table.programs.batched_tokens.value),
        lease_seconds=workers.kv_lease_seconds if workers else UNBOUNDED,
        gateways=deployment.gateway.min_count,
        admission=Capacity(running=taken.running, waiting=taken.waiting, wait_seconds=taken.wait_seconds),
        tenant=Limits(**taken.tenant.model_dump()),
        thresholds=Thresholds(**deployment.gateway.routing.model_dump()),
        call_seconds=float(table.programs.call_seconds),
    )


def known_model(deployment: Deployment) -> Model:
    """Return the figures of the deployment's model; raise ``UnknownFigureError``."""
    model = models().get(deployment.model.id)
    if model is None:
        raise UnknownFigureError(missing(deployment.model.id))
    return model


def pools(model: Model, groups: Sequence[InstanceGroup]) -> tuple[Pool, ...]:
    """Return the workers of ``groups``, at their first size."""
    known = hosts(model, groups)
    if known is None:
        types = ", ".join(group.instance_type for group in groups)
        raise UnknownFigureError(f"the chip of one of {types} is not in the catalog: add it to machines.yaml")
    return tuple(
        Pool(
            name=group.name,
            count=group.count,
            worker=each.worker,
            egress=UNBOUNDED
            if each.efa_gbps is None
            else legs.efa_gigabytes_per_second(each.efa_gbps, machines()) * _GIGA,
        )
        for group, each in zip(groups, known, strict=True)
    )


def _prefill(model: Model, deployment: Deployment) -> tuple[Pool, ...]:
    prefill = deployment.prefill
    if prefill is None:
        return ()
    reserved = isinstance(deployment.decode, Cs3)
    return tuple(
        replace(
            pool,
            scaling=Scaling(
                demand=Demand.of(deployment.model.id, prefill, group, reserved=reserved),
                most=group.most,
                start_seconds=prefill.warm_start_seconds,
                scale_in_minutes=prefill.scaling.scale_in_minutes,
            )
            if group.scales
            else None,
        )
        for pool, group in zip(pools(model, prefill.groups), prefill.groups, strict=True)
    )


def wafers(model: Model, systems: int, endpoints: int = 1) -> Wafers:
    """Return ``endpoints`` that share ``systems`` CS-3 evenly, each with a copy of the weights."""
    table = machines()
    return Wafers(
        endpoints=endpoints,
        kv_bytes=legs.free_bytes(model, systems / endpoints, table),
        ingress=legs.ingress_gigabytes_per_second(systems, table) / endpoints * _GIGA,
        tokens_per_second=_speed(model),
        ttl_seconds=float(table.programs.reservation_seconds),
    )


def text_side(model: Model, systems: int) -> TextSide:
    """Return what ``systems`` CS-3 do with text: they prefill by themselves, at a speed that nobody published."""
    cs3 = machines().cs3
    memory = systems * float(cs3.sram_gb) * _GIGA - model.weight_bytes
    flops = systems * float(cs3.bf16_tflops) * 1e12 * float(machines().efficiency.prefill)
    return TextSide(flops=flops, kv_bytes=max(1.0, memory), tokens_per_second=_speed(model))


def _decode(model: Model, decode: Cs3 | VllmDecode | OpenAi, table: Machines) -> Wafers | TextSide | tuple[Pool, ...]:
    if isinstance(decode, VllmDecode):
        return pools(model, decode.groups)
    if isinstance(decode, OpenAi):
        raise UnknownFigureError("decode.provider is openai: nothing is known of what its owner runs it on")
    if decode.systems is None:
        raise UnknownFigureError("decode.systems is missing: say how many CS-3 systems serve the endpoint")
    return wafers(model, decode.systems, len(decode.endpoints))


def _speed(model: Model) -> float:
    if model.tokens_per_second is None:
        raise UnknownFigureError(f"no speed of {model.ids[0]} at Cerebras was published: add it to models.yaml")
    return float(model.tokens_per_second)
