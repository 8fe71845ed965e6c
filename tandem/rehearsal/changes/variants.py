"""Write changed copies of a deployment file: one whose update works, one that AWS refuses half-way, one with pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from tandem.rehearsal.errors import RehearsalError
from tandem.spec.decode import VllmDecode
from tandem.spec.deployment import Deployment
from tandem.spec.findings import has_errors
from tandem.spec.read import read

_SIZES: Final = {2048: 4096}
"""Another Fargate size for a gateway's CPU units; 2048 for all others. Both go with the memory below."""
_MEMORY_MIB: Final = 8192
_SHORTEST: Final = 60
"""What a file must give a start at least, in seconds."""
NO_SUCH_CERTIFICATE: Final = "certificate/00000000-0000-0000-0000-000000000000"
"""The end of the ARN of a certificate that no account has."""


class VariantError(RehearsalError):
    """Say why a file has no such variant."""


def changed(file: Path, deployment: Deployment, target: Path) -> Path:
    """Write ``file`` with a gateway of another size and, where it has workers, another time for their start.

    Nothing has to be compiled for that: what has to be is compiled ahead (docs/workers.md).
    """
    document = _read(file)
    cpu = _SIZES.get(deployment.gateway.cpu, 2048)
    document.setdefault("gateway", {}).update(cpu=cpu, memory_mib=_MEMORY_MIB)
    if deployment.prefill:
        document["prefill"]["warm_start_seconds"] = _other(deployment.prefill.warm_start_seconds)
    return _write(document, target)


def paired(file: Path, deployment: Deployment, target: Path) -> Deployment:
    """Write ``file`` with two of whatever it has one of: gateway, worker, CS-3 endpoint; return what it says.

    Raise ``VariantError`` where that is no valid deployment.
    """
    document = _read(file)
    gateway = deployment.gateway
    document.setdefault("gateway", {}).update(min_count=max(2, gateway.min_count), max_count=max(2, gateway.max_count))
    if deployment.prefill and sum(group.count for group in deployment.prefill.groups) < 2:
        document["prefill"]["groups"][0]["count"] = 2
    if isinstance(deployment.decode, VllmDecode) and sum(group.count for group in deployment.decode.groups) < 2:
        document["decode"]["groups"][0]["count"] = 2
    if deployment.decode.provider == "cs3" and not deployment.decode.more_endpoints:
        document["decode"]["more_endpoints"] = [str(document["decode"]["endpoint"]).replace("://", "://second-", 1)]
        if deployment.decode.systems:  # each endpoint has its share of them
            document["decode"]["systems"] = 2 * deployment.decode.systems
    found, findings = read(_write(document, target))
    if found is None or has_errors(findings):
        said = "; ".join(f"{each.path}: {each.got}, {each.change}" for each in findings)
        raise VariantError(f"{file} with two of each process is no valid deployment: {said}")
    return found


def failing(file: Path, deployment: Deployment, account: str, target: Path) -> Path:
    """Write ``file``, with a certificate that ACM does not have; the workers' flag is as before the change above.

    No rule can know of the certificate, so the workers' stack is updated before the gateway's update fails.
    """
    document = _read(file)
    gateway = document.setdefault("gateway", {})
    gateway["certificate_arn"] = f"arn:aws:acm:{deployment.region}:{account}:{NO_SUCH_CERTIFICATE}"
    gateway.setdefault("domain", "inference.example.com")
    if deployment.prefill:
        document["prefill"]["warm_start_seconds"] = deployment.prefill.warm_start_seconds
    return _write(document, target)


def _other(seconds: int) -> int:
    return seconds - 1 if seconds > _SHORTEST else seconds + 1


def _read(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


def _write(document: dict[str, Any], target: Path) -> Path:
    target.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return target
