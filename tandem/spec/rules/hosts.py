"""Check what hosts promise by their type: the Nitro System, and encryption of what passes between them."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding, Severity
from tandem.spec.stages import groups


def hosts_on_nitro(deployment: Deployment) -> Iterator[Finding]:
    """Require the Nitro System, on which no operator of AWS can reach a host's memory, and without which no EFA is."""
    for path, group in groups(deployment):
        if group.kind and not group.kind.nitro:
            yield Finding(
                code="instance-not-nitro",
                path=f"{path}.instance_facts.nitro",
                got=f"{group.instance_type}, by your own facts not built on the Nitro System",
                allowed="types on the Nitro System (EC2 DescribeInstanceTypes: Hypervisor is nitro)",
                change="choose another type, or correct the facts",
            )


def kv_encrypted_in_transit(deployment: Deployment) -> Iterator[Finding]:
    """Warn where KV would cross the network in clear: EFA has no encryption but that of the instance type."""
    for path, group in groups(deployment):
        if group.kind and not group.kind.encryption_in_transit:
            yield Finding(
                code="kv-in-clear",
                path=f"{path}.instance_type",
                got=f"{group.instance_type}, of which no encryption in transit is documented",
                allowed="types that EC2 lists with NetworkInfo.EncryptionInTransitSupported",
                change="choose such a type; if EC2 lists this one, say encryption_in_transit: true in instance_facts",
                severity=Severity.WARNING,
            )
