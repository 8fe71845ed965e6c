"""Check what several fields of a deployment must satisfy together.

A rule is a function from a deployment to findings; ``RULES`` is the whole list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity
from tandem.spec.rules import (
    access,
    admission,
    capacity,
    endpoints,
    hosts,
    load,
    network,
    observability,
    registration,
    scaling,
    workers,
)

Rule = Callable[[Deployment], Iterator[Finding]]

RULES: Final[tuple[Rule, ...]] = (
    network.zones_in_region,
    network.zones_distinct,
    network.cidr_usable,
    network.peer_cidr_usable,
    network.addresses_suffice,
    network.endpoint_service_in_region,
    workers.instance_types_known,
    workers.instance_facts_own,
    workers.efa_supported,
    workers.efa_fits_cards,
    workers.efa_device_without_nic,
    workers.tensor_parallel_fits,
    workers.group_names_unique,
    workers.ports_distinct,
    workers.block_size_divides,
    workers.block_sizes_equal,
    workers.connector_suits_model,
    hosts.hosts_on_nitro,
    hosts.kv_encrypted_in_transit,
    workers.warm_start_within_start,
    workers.lease_within_drain,
    capacity.mode_offered,
    capacity.ultraservers_whole,
    capacity.zone_is_efa_zone,
    capacity.resource_group_in_region,
    capacity.block_large_enough,
    scaling.count_within_bounds,
    scaling.gateway_bounds_ordered,
    scaling.decode_fixed,
    scaling.ultraservers_fixed,
    scaling.paid_capacity_used,
    scaling.worker_speed_known,
    access.prefill_present,
    access.certificate_in_region,
    access.plain_http_known,
    access.memory_fits_cpu,
    access.gateway_ports_distinct,
    admission.scales_before_waiting,
    admission.body_holds_context,
    admission.bodies_hold_largest,
    admission.memory_holds_bodies,
    admission.prompt_fits_context,
    admission.waits_within_request,
    admission.tenant_tokens_allow_requests,
    admission.tenant_concurrency_divides,
    endpoints.endpoints_distinct,
    endpoints.spills_over_elsewhere,
    endpoints.routing_has_effect,
    load.model_fits,
    load.load_carried,
    load.load_admitted,
    load.systems_known,
    observability.alarm_topic_in_region,
    registration.agentcore_needs_https,
    registration.agentcore_can_name_model,
    registration.import_has_weights,
    registration.import_region_known,
    registration.import_architecture_known,
    registration.cost_tags_free,
    registration.marketplace_endpoint_here,
    registration.marketplace_source_here,
    registration.copy_takes_no_part,
)
"""Every rule, in the order of its findings."""


def check(deployment: Deployment) -> list[Finding]:
    """Return what every rule finds, errors first."""
    findings = [finding for rule in RULES for finding in rule(deployment)]
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))
