"""Decide whether the policy of a resource, most often a KMS key's, admits a caller.

What an AWS service does with a key on somebody's behalf is allowed by the key's policy, or not at all; AWS tells late
where it is not: hosts that end as they start, secrets that cannot be read. The account's own statement, by which its
identity policies count, admits nobody here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from tandem.rehearsal.cloud.api import Api

_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "StringEquals": str.__eq__,
    "StringLike": fnmatchcase,
    "ArnEquals": fnmatchcase,
    "ArnLike": fnmatchcase,
    "Bool": str.__eq__,
}


def admits(api: Api, key: str, action: str, *, service: str = "", context: Mapping[str, str]) -> bool:
    """Tell whether the policy of ``key`` lets ``service``, or anyone who fits ``context``, do ``action``.

    ``context`` holds the request's condition keys; one that a statement asks for and that is not there does not fit.
    Raises ``ValueError`` for a condition operator that is not known here.
    """
    document = api.client("kms").get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    return allowing(json.loads(document), action, service=service, context=context)


def allowing(policy: Mapping[str, Any], action: str, *, service: str, context: Mapping[str, str]) -> bool:
    """Tell the same of a parsed policy; which resource a statement names is not looked at."""
    return any(
        statement["Effect"] == "Allow"
        and any(fnmatchcase(action, pattern) for pattern in _list(statement["Action"]))
        and _concerns(statement["Principal"], service)
        and _fits(statement.get("Condition", {}), context)
        for statement in policy["Statement"]
    )


def _concerns(principal: Any, service: str) -> bool:
    if principal == "*":
        return True
    return "*" in _list(principal.get("AWS", [])) or service in _list(principal.get("Service", []))


def _fits(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    unknown = conditions.keys() - _OPERATORS.keys()
    if unknown:
        raise ValueError(f"condition operator {min(unknown)} of a key policy is unknown: use {', '.join(_OPERATORS)}")
    return all(
        name in context and any(_OPERATORS[operator](context[name], wanted) for wanted in _list(values))
        for operator, tests in conditions.items()
        for name, values in tests.items()
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
