"""Write changed copies of a deployment file: one whose update works, and one whose update AWS refuses half-way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from tandem.spec.deployment import Deployment

_SIZES: Final = {2048: 4096}
"""Another Fargate size for a gateway's CPU units; 2048 for all others. Both go with the memory below."""
_MEMORY_MIB: Final = 8192
NO_SUCH_CERTIFICATE: Final = "certificate/00000000-0000-0000-0000-000000000000"
"""The end of the ARN of a certificate that no account has."""


def changed(file: Path, deployment: Deployment, target: Path) -> Path:
    """Write ``file`` with a gateway of another size and, where it has workers, another flag of their vLLM."""
    document = _read(file)
    cpu = _SIZES.get(deployment.gateway.cpu, 2048)
    document.setdefault("gateway", {}).update(cpu=cpu, memory_mib=_MEMORY_MIB)
    if deployment.prefill:
        document["prefill"]["max_num_seqs"] = 2 * deployment.prefill.max_num_seqs
    return _write(document, target)


def failing(file: Path, deployment: Deployment, account: str, target: Path) -> Path:
    """Write ``file``, with a certificate that ACM does not have; the workers' flag is as before the change above.

    No rule can know of the certificate, so the workers' stack is updated before the gateway's update fails.
    """
    document = _read(file)
    gateway = document.setdefault("gateway", {})
    gateway["certificate_arn"] = f"arn:aws:acm:{deployment.region}:{account}:{NO_SUCH_CERTIFICATE}"
    gateway.setdefault("domain", "inference.example.com")
    if deployment.prefill:
        document["prefill"]["max_num_seqs"] = deployment.prefill.max_num_seqs
    return _write(document, target)


def _read(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


def _write(document: dict[str, Any], target: Path) -> Path:
    target.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return target
