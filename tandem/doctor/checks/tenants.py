"""Check that somebody may call the gateway."""

from __future__ import annotations

from runtime.gateway.access.tenants import ACTIVE
from runtime.handoff import settings
from tandem.doctor.aws import Aws
from tandem.doctor.deployed import GATEWAY, output
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment
from tandem.tenants.change import TenantError
from tandem.tenants.store import Store


def check(deployment: Deployment, aws: Aws) -> Result:
    """Count the active tenants in the deployed secret; AgentCore's own key is none of them."""
    arn = output(aws, deployment, GATEWAY, settings.TENANTS_OUTPUT)
    try:
        active = [tenant.id for tenant in Store(aws.client("secretsmanager"), arn).read() if tenant.state == ACTIVE]
    except TenantError as error:
        return failed(str(error), "restore an earlier version of the secret, then use tandem tenant alone")
    if not active:
        return failed("no tenant is active: the gateway refuses every key", "tandem tenant add ID FILE")
    return passed(f"{len(active)} active: {', '.join(sorted(active))}")
