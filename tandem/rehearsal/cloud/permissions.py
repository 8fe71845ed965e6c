"""Decide whether a role's identity policies allow a call.

Only identity policies count: what a bucket, key or secret grants by its own policy is not evaluated, nor are
permission boundaries. An Allow holds whatever its conditions say; a Deny with conditions is passed over, since most
conditions (TLS, source VPC) say nothing true about a rehearsal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

_PARTITION = "aws"


def allowed(role_arn: str, action: str, resource: str | None = None) -> bool:
    """Tell whether the role may do ``action`` (``secretsmanager:GetSecretValue``) on ``resource``, an ARN.

    Without a resource, an Allow of the action on anything suffices. Raises ``KeyError`` for an unknown role.
    """
    statements = list(_statements(role_arn))
    effects = {one["Effect"] for one in statements if _concerns(one, action, resource)}
    return "Allow" in effects and "Deny" not in effects


def may_assume(service: str, role_arn: str) -> bool:
    """Tell whether the role's trust policy lets ``service`` (``ecs-tasks.amazonaws.com``) assume it."""
    document = _role(role_arn).assume_role_policy_document
    trust = json.loads(document) if isinstance(document, str) else document
    for one in _list(trust["Statement"]):
        principals = one.get("Principal", {})
        named = _list(principals.get("Service", [])) if isinstance(principals, Mapping) else [principals]
        if one["Effect"] == "Allow" and (service in named or "*" in named):
            return True
    return False


def role_of(access_key: str, account: str) -> str | None:
    """Return the ARN of the role whose temporary credentials have this access key; None for other credentials."""
    for backend in sts_backends[account].values():
        for assumed in backend.assumed_roles:
            if assumed.access_key_id == access_key:
                return str(assumed.role_arn)
    return None


def _role(role_arn: str) -> Any:
    account = role_arn.split(":")[4]
    for role in iam_backends[account][_PARTITION].roles.values():
        if role.arn == role_arn:
            return role
    raise KeyError(f"there is no role {role_arn}")


def _statements(role_arn: str) -> Iterator[Mapping[str, Any]]:
    role = _role(role_arn)
    documents = [*role.policies.values(), *(policy.document for policy in role.managed_policies.values())]
    for document in documents:
        parsed = json.loads(document) if isinstance(document, str) else document
        yield from _list(parsed["Statement"])


def _concerns(statement: Mapping[str, Any], action: str, resource: str | None) -> bool:
    if statement["Effect"] == "Deny" and (statement.get("Condition") or resource is None):
        return False
    if "NotAction" in statement:
        acts = not _any(statement["NotAction"], action.lower(), fold=True)
    else:
        acts = _any(statement["Action"], action.lower(), fold=True)
    if resource is None or not acts:
        return acts
    if "NotResource" in statement:
        return not _any(statement["NotResource"], resource)
    return _any(statement.get("Resource", "*"), resource)


def _any(patterns: Any, value: str, *, fold: bool = False) -> bool:
    return any(_glob(one.lower() if fold else one).match(value) for one in _list(patterns))


@lru_cache(maxsize=4096)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.replace("[", "[[]")))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
