"""Decide where an AgentCore gateway sends an inference call: pure, from what is deployed and what the client sent.

Follows the API reference: an operation lists a path and the models that it takes (globs); a model may be preceded by
the target's name and a slash; ``modelMapping`` completes an id by the provider's prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

PREFIX = "/inference"
"""What precedes an operation's path in a gateway's URL."""


class NoRouteError(Exception):
    """Tell why a gateway refuses a call, with the status that it answers."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Route:
    """Say where a call goes: the target, the URL at its provider, and the model's name there."""

    target: Any
    url: str
    model: str


def route(targets: Sequence[Any], path: str, model: str) -> Route:
    """Return the one way of a call among ``targets`` (moto's); raise ``NoRouteError`` unless there is just one."""
    if not path.startswith(PREFIX):
        raise NoRouteError("404 Not Found", f"{path} is no inference path: it must begin with {PREFIX}")
    wanted = path.removeprefix(PREFIX)
    found = list(_routes(targets, wanted, model))
    named = [one for one in found if model.startswith(f"{one.target.name}/")]
    found = named or found
    if not found:
        raise NoRouteError("404 Not Found", f"no target takes model {model!r} on {wanted}")
    if len(found) > 1:
        raise NoRouteError("400 Bad Request", f"{len(found)} targets take model {model!r} on {wanted}: name one")
    return found[0]


def _routes(targets: Sequence[Any], path: str, model: str) -> Iterator[Route]:
    for target in targets:
        provider = target.target_configuration.get("inference", {}).get("provider")
        if provider is None:
            continue
        for operation in provider.get("operations", []):
            patterns = [entry["model"] for entry in operation.get("models", [])]
            theirs = _name(model.removeprefix(f"{target.name}/"), patterns, provider.get("modelMapping", {}))
            if operation["path"] == path and theirs is not None:
                url = provider["endpoint"].rstrip("/") + operation.get("providerPath", path)
                yield Route(target, url, theirs)


def _name(model: str, patterns: Sequence[str], mapping: Mapping[str, Any]) -> str | None:
    """Return the model's name at the provider; None if no pattern takes it."""
    prefix = mapping.get("providerPrefix", {})
    separator = prefix.get("separator", ".")
    for pattern in patterns:
        if fnmatchcase(model, pattern):
            return model
        full = f"{pattern.partition(separator)[0]}{separator}{model}"
        if prefix.get("strip") and fnmatchcase(full, pattern):
            return full
    return None
