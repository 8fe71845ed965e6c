"""Call the embedded AWS with CloudFormation properties: fit them to an operation's own parameters, strictly.

CloudFormation spells a property as the API does but for the case of its first letter, so the API's model says which
properties exist, which are required and of what type: a property that does not fit is an error, never dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.model import ListShape, MapShape, Shape, StructureShape

ACCESS_KEY = "test"
"""Name the credentials that stand for the account's administrator; permissions never refuse them."""


class PropertyError(ValueError):
    """Tell which property of a resource does not fit."""


@dataclass
class Api:
    """Hold the boto3 clients of one embedded AWS, as its administrator; each is made on first use."""

    endpoint: str
    region: str
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return the boto3 client of ``service``."""
        if service not in self._clients:
            self._clients[service] = boto3.session.Session(region_name=self.region).client(
                service,
                endpoint_url=self.endpoint,
                aws_access_key_id=ACCESS_KEY,
                aws_secret_access_key=ACCESS_KEY,
                config=Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True),
            )
        return self._clients[service]

    def call(self, service: str, operation: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Call ``operation`` (snake case) with CloudFormation ``properties`` and API parameters ``more``."""
        client = self.client(service)
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
        answer: dict[str, Any] = getattr(client, operation)(**fit(model.input_shape, properties), **more)
        return answer


def fit(shape: Shape, value: Any, path: str = "") -> Any:
    """Return ``value`` with names and types as ``shape`` has them; raise ``PropertyError`` where it does not fit."""
    if isinstance(shape, StructureShape):
        return _fit_structure(shape, value, path)
    if isinstance(shape, ListShape):
        if isinstance(value, Mapping):  # tags are a map in some types, a list of pairs in their API
            value = [{"Key": key, "Value": item} for key, item in value.items()]
        if not isinstance(value, list):
            raise PropertyError(f"{path} must be a list, got {value!r}")
        return [fit(shape.member, item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(shape, MapShape):
        if isinstance(value, list):
            value = {item["Key"]: item["Value"] for item in value}
        if not isinstance(value, Mapping):
            raise PropertyError(f"{path} must be an object, got {value!r}")
        return {key: fit(shape.value, item, f"{path}.{key}") for key, item in value.items()}
    return _fit_scalar(shape, value, path)


def _fit_structure(shape: StructureShape, value: Any, path: str) -> Any:
    if getattr(shape, "is_document_type", False):
        return value
    if not isinstance(value, Mapping):
        raise PropertyError(f"{path or shape.name} must be an object, got {value!r}")
    names = {name.lower(): name for name in shape.members}
    fitted = {}
    for key, item in value.items():
        name = names.get(key.lower())
        if name is None:
            raise PropertyError(f"unknown property {_join(path, key)}; allowed: {', '.join(sorted(shape.members))}")
        fitted[name] = fit(shape.members[name], item, _join(path, key))
    return fitted


def _fit_scalar(shape: Shape, value: Any, path: str) -> Any:
    match shape.type_name:
        case "string":
            return _fit_string(shape, value, path)
        case "integer" | "long":
            return _number(int, value, path)
        case "float" | "double":
            return _number(float, value, path)
        case "boolean":
            if str(value).lower() not in ("true", "false"):
                raise PropertyError(f"{path} must be true or false, got {value!r}")
            return str(value).lower() == "true"
        case _:
            return value


def _fit_string(shape: Shape, value: Any, path: str) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    enum, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
    if enum and text not in enum:
        raise PropertyError(f"{path} is {text!r}; allowed: {', '.join(enum)}")
    if pattern and not _matches(pattern, text):
        raise PropertyError(f"{path} is {text!r}; it must match {pattern}")
    return text


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # a few patterns use Java's classes, which Python's re does not know
        return True


def _number(kind: type[int] | type[float], value: Any, path: str) -> int | float:
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise PropertyError(f"{path} must be a number, got {value!r}") from error


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
