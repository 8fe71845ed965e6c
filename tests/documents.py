"""Write deployment files for tests: the smallest of each decode provider, with single values changed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import yaml

from tandem.spec.deployment import Deployment
from tandem.spec.findings import Finding
from tandem.spec.read import parse

ABSENT: Final = object()
"""The value that removes a key."""

CERTIFICATE: Final = "arn:aws:acm:us-east-2:111122223333:certificate/6f0c2f6e"

_GROUP = {"name": "trn2", "instance_type": "trn2.48xlarge", "count": 1, "tensor_parallel": 64}
_BASE = {
    "version": 1,
    "name": "small",
    "region": "us-east-2",
    "model": {"id": "example/model", "max_model_len": 8192},
    "network": {"efa_zone": "us-east-2b", "load_balancer_zones": ["us-east-2a", "us-east-2b"]},
}
_FORMS: dict[str, dict[str, Any]] = {
    "cs3": {
        "prefill": {"groups": [_GROUP]},
        "decode": {"provider": "cs3", "endpoint": "https://cs3.example.com", "peer_cidr": "10.80.0.0/16"},
    },
    "vllm": {"prefill": {"groups": [_GROUP]}, "decode": {"provider": "vllm", "groups": [{**_GROUP}]}},
    "openai": {"decode": {"provider": "openai", "endpoint": "https://api.example.com", "model": "theirs"}},
}


def document(provider: str = "cs3", **changes: object) -> dict[str, Any]:
    """Return the smallest valid file for ``provider``; ``prefill__groups__0__count=2`` changes one value."""
    whole: dict[str, Any] = copy.deepcopy({**_BASE, **_FORMS[provider]})
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdecimal() else part for part in path.split("__")]
        section: Any = whole
        for part in parents:
            section = section[part] if isinstance(part, int) else section.setdefault(part, {})
        if value is ABSENT:
            del section[last]
        else:
            section[last] = value
    return whole


def read(provider: str = "cs3", **changes: object) -> tuple[Deployment | None, list[Finding]]:
    """Return what the parser makes of ``document``."""
    return parse(yaml.safe_dump(document(provider, **changes)), Path("file.yaml"))


def deployment(provider: str = "cs3", **changes: object) -> Deployment:
    """Return the deployment of ``document``, which must have a usable form."""
    found, findings = read(provider, **changes)
    assert found is not None, findings
    return found
