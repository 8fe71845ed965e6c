"""Resolve a CloudFormation template's intrinsic functions, and find what a resource depends on.

moto's own resolver drops what it cannot resolve; here whatever resolves to nothing is an error, since a dropped
property is a wiring error that nobody would see.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from moto.cloudformation.exceptions import ExportNotFound, ValidationError

_NO_VALUE = "AWS::NoValue"
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")


def resolve(value: Any, scope: Any) -> Any:
    """Return ``value`` with every intrinsic function replaced by its result.

    ``scope`` is the stack's resource map: ``scope[name]`` is a parameter, pseudo parameter, mapping or resource.
    Raises ``ValidationError`` for an unknown function or a name, attribute or export that does not exist.
    """
    if isinstance(value, list):
        return [resolve(item, scope) for item in value if not _absent(item, scope)]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (name, argument), *_ = value.items()
        if name in _FUNCTIONS:
            return _FUNCTIONS[name](argument, scope)
        if name.startswith("Fn::"):
            raise ValidationError(message=f"unknown intrinsic function {name}; known: {', '.join(sorted(_FUNCTIONS))}")
    return {key: resolve(item, scope) for key, item in value.items() if not _absent(item, scope)}


def dependencies(value: Any) -> Iterator[str]:
    """Yield every name that ``value`` refers to by Ref, Fn::GetAtt, Fn::Sub or DependsOn."""
    if isinstance(value, list):
        for item in value:
            yield from dependencies(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref" and isinstance(item, str):
                yield item
            elif key == "Fn::GetAtt":
                yield _attribute_path(item)[0]
            elif key == "DependsOn":
                yield from [item] if isinstance(item, str) else item
            else:
                if key == "Fn::Sub":
                    text = item if isinstance(item, str) else item[0]
                    yield from (name.split(".")[0] for literal, name in _VARIABLE.findall(text) if not literal)
                yield from dependencies(item)


def imports(value: Any, scope: Any) -> Iterator[str]:
    """Yield the name of every export that ``value`` imports."""
    if isinstance(value, list):
        for item in value:
            yield from imports(item, scope)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Fn::ImportValue":
                yield resolve(item, scope)
            else:
                yield from imports(item, scope)


def _absent(value: Any, scope: Any) -> bool:
    """Tell whether a value is AWS::NoValue, by itself or as the chosen branch of Fn::If."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    if "Fn::If" in value:
        return _absent(_branch(value["Fn::If"], scope), scope)
    return value.get("Ref") == _NO_VALUE


def _ref(name: str, scope: Any) -> Any:
    try:
        target = scope[name]
    except KeyError as error:
        raise ValidationError(message=f"unresolved dependency: Ref to {name}, which is not in the stack") from error
    found = getattr(target, "physical_resource_id", target)
    if found is None and name != _NO_VALUE:
        raise ValidationError(message=f"Ref to {name} resolves to nothing")
    return found


def _attribute_path(argument: Any) -> tuple[str, str]:
    name, _, attribute = argument.partition(".") if isinstance(argument, str) else (argument[0], "", argument[1])
    return name, attribute


def _get_att(argument: Any, scope: Any) -> Any:
    name, attribute = _attribute_path(argument)
    try:
        found = scope[name].get_cfn_attribute(resolve(attribute, scope))
    except KeyError as error:
        raise ValidationError(message=f"unresolved dependency: Fn::GetAtt of {name}, not in the stack") from error
    if found is None:
        raise ValidationError(message=f"Fn::GetAtt {name}.{attribute} resolves to nothing")
    return found


def _sub(argument: Any, scope: Any) -> str:
    text, given = (argument, {}) if isinstance(argument, str) else argument
    values = {name: resolve(item, scope) for name, item in given.items()}

    def substitute(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal:
            return f"${{{name}}}"
        if name in values:
            return str(values[name])
        return str(_get_att(name, scope) if "." in name else _ref(name, scope))

    return _VARIABLE.sub(substitute, text)


def _branch(argument: Any, scope: Any) -> Any:
    condition, when_true, when_false = argument
    return when_true if scope.lazy_condition_map[condition] else when_false


def _find_in_map(argument: Any, scope: Any) -> Any:
    path = [resolve(item, scope) for item in argument[:3]]
    found = scope[path[0]]
    for key in path[1:]:
        if key not in found:
            raise ValidationError(message=f"Fn::FindInMap {path} finds nothing; {key} is not one of {list(found)}")
        found = found[key]
    return found


def _import_value(argument: Any, scope: Any) -> Any:
    name = resolve(argument, scope)
    for export in scope.exports.values():
        if export.name == name:
            return export.value
    raise ExportNotFound(name)


def _availability_zones(argument: Any, scope: Any) -> list[str]:
    return list(scope.availability_zones(resolve(argument, scope) or scope["AWS::Region"]))


def _cidr(argument: Any, scope: Any) -> list[str]:
    block, count, *bits = resolve(argument, scope)
    network = ipaddress.ip_network(block)
    prefix = network.max_prefixlen - int(bits[0] if bits else 8)
    subnets = network.subnets(new_prefix=prefix)
    return [str(next(subnets)) for _ in range(int(count))]


def _join(argument: Any, scope: Any) -> str:
    separator, items = argument
    return str(separator).join(str(item) for item in resolve(items, scope))


def _select(argument: Any, scope: Any) -> Any:
    index, items = int(resolve(argument[0], scope)), resolve(argument[1], scope)
    if index >= len(items):
        raise ValidationError(message=f"Fn::Select has no item {index}: its list has {len(items)}")
    return items[index]


def _truth(argument: Any, scope: Any) -> bool:
    if isinstance(argument, dict) and "Condition" in argument:
        return bool(scope.lazy_condition_map[argument["Condition"]])
    return bool(resolve(argument, scope))


def _equals(argument: Any, scope: Any) -> bool:
    left, right = (str(resolve(item, scope)) for item in argument)
    return left == right


_FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "Fn::Equals": _equals,
    "Fn::Not": lambda argument, scope: not _truth(argument[0], scope),
    "Fn::And": lambda argument, scope: all(_truth(item, scope) for item in argument),
    "Fn::Or": lambda argument, scope: any(_truth(item, scope) for item in argument),
    "Ref": _ref,
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::If": lambda argument, scope: resolve(_branch(argument, scope), scope),
    "Fn::FindInMap": _find_in_map,
    "Fn::ImportValue": _import_value,
    "Fn::GetAZs": _availability_zones,
    "Fn::Cidr": _cidr,
    "Fn::Join": _join,
    "Fn::Select": _select,
    "Fn::Split": lambda argument, scope: resolve(argument[1], scope).split(argument[0]),
    "Fn::Base64": lambda argument, scope: base64.b64encode(resolve(argument, scope).encode()).decode(),
    "Fn::ToJsonString": lambda argument, scope: json.dumps(resolve(argument, scope)),
}
