"""List every check: a function from a deployment and an AWS account to a result, one a file.

A check's id is the name of its file. It returns PASS or FAIL, or raises ``UndeterminedError``; errors of AWS and of the
network it need not catch (see ``tandem.doctor.examine``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tandem.doctor.aws import Aws
from tandem.doctor.checks import (
    account,
    cdk_bootstrap,
    certificate,
    cidr,
    clock,
    decode_endpoint,
    decode_secret,
    efa_interfaces,
    efa_provider,
    gateway_ready,
    host_image,
    hosts_in_service,
    instance_type_offered,
    leases,
    placement,
    registrar,
    reservation,
    services,
    task_revision,
    tenants,
    vcpu_quota,
    versions,
    weights,
    worker_image,
    workers_registered,
)
from tandem.doctor.result import Result
from tandem.spec.deployment import Deployment

Check = Callable[[Deployment, Aws], Result]

BEFORE: Final[Mapping[str, Check]] = {
    "account": account.check,
    "clock": clock.check,
    "cdk-bootstrap": cdk_bootstrap.check,
    "vcpu-quota": vcpu_quota.check,
    "reservation": reservation.check,
    "instance-type-offered": instance_type_offered.check,
    "host-image": host_image.check,
    "worker-image": worker_image.check,
    "weights": weights.check,
    "certificate": certificate.check,
    "decode-secret": decode_secret.check,
    "decode-endpoint": decode_endpoint.check,
    "tenants": tenants.check,
    "registrar": registrar.check,
    "cidr": cidr.check,
}
"""What must hold before a deploy, in the order of the table."""

LIVE: Final[Mapping[str, Check]] = {
    "hosts-in-service": hosts_in_service.check,
    "services": services.check,
    "efa-interfaces": efa_interfaces.check,
    "efa-provider": efa_provider.check,
    "placement": placement.check,
    "task-revision": task_revision.check,
    "versions": versions.check,
    "workers-registered": workers_registered.check,
    "leases": leases.check,
    "gateway-ready": gateway_ready.check,
}
"""What must hold of a running deployment."""
