"""Deploy a stack's resources in order of dependency, as CloudFormation does.

In place of moto's lazy map: an update compares *resolved* properties, so that a resource follows what it refers to
(a service its new task definition); removed resources go last; a failure names its resource and its cause.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.parsing import ResourceMap, get_model_map
from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends
from werkzeug.exceptions import HTTPException

from tandem.rehearsal.cloud.resource import MotoResource, Place, Resource
from tandem.rehearsal.cloud.template import dependencies, resolve

log = logging.getLogger("tandem.rehearsal.cloud")

Report = Callable[[Resource, str, str | None], None]
"""Take a resource, its status without the action's name (``CREATE_FAILED``), and the reason of a failure."""


class ResourceError(Exception):
    """Tell which resource failed, and why."""

    def __init__(self, resource: Resource, action: str, cause: Exception) -> None:
        self.resource = resource
        self.reason = cause_of(cause)
        super().__init__(f"{resource.logical_resource_id} ({resource.cf_resource_type}) {action}: {self.reason}")


def cause_of(error: Exception) -> str:
    """Return an exception as one would tell it to the person who deploys."""
    match error:
        case ServiceException():
            return str(error.message)
        case ClientError() | BotoCoreError() | ValueError():
            return str(error)
        case HTTPException():
            return str(error.description)
        case _:
            return f"{type(error).__name__}: {error}"


def model_of(cf_type: str) -> type[Resource] | None:
    """Return the class of a resource type; None where the embedded AWS has none."""
    if cf_type.startswith("Custom::") and cf_type not in Resource.known:
        cf_type = "AWS::CloudFormation::CustomResource"
    return Resource.known.get(cf_type) or (MotoResource if cf_type in get_model_map() else None)


class Resources(ResourceMap):
    """Hold what one stack has deployed; ``resources[name]`` is a parameter, mapping or deployed resource."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deployed: dict[str, Resource] = {}
        self._removed: list[tuple[Resource, dict[str, Any]]] = []
        self.exports: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        """Return a parameter, mapping or deployed resource; never create one on the way."""
        if key in self.deployed:
            return self.deployed[key]
        return self._parsed_resources[key]

    @property
    def resources(self) -> Iterable[str]:
        """Return the logical ids of what is deployed."""
        return list(self.deployed)

    def load(self) -> None:
        """Read parameters, mappings and conditions; refuse types that the embedded AWS does not have."""
        self.load_mapping()
        self.load_parameters()
        self.load_conditions()
        unknown = [f"{name} ({body['Type']})" for name, body in self._resource_json_map.items() if not _known(body)]
        if unknown:
            raise ValidationError(message=f"the embedded AWS has no such resource types: {', '.join(unknown)}")

    def parse_ssm_parameter(self, value: str, value_type: str) -> Any:
        """Return the value of the SSM parameter that a template parameter names."""
        try:
            return super().parse_ssm_parameter(value, value_type)
        except AttributeError as error:  # moto reads the value of None
            raise ValidationError(message=f"parameter {value} is not in the parameter store") from error

    def availability_zones(self, region: str) -> list[str]:
        """Return the names of a region's zones."""
        return [zone.name for zone in ec2_backends[self._account_id][region].describe_availability_zones()]

    def change_to(self, template: dict[str, Any], parameters: dict[str, str], place: Place, report: Report) -> None:
        """Create and update what ``template`` says; what it no longer has is removed by ``clean_up``."""
        before, self._template = self._resource_json_map, template
        self._resource_json_map, self.input_parameters = template["Resources"], parameters
        self.load()
        for logical_id in self._order():
            self._put(logical_id, place, report)
        gone = [name for name in reversed(self.deployed) if not self._wanted(name)]
        self._removed = [(self.deployed[name], before[name]) for name in gone]

    def clean_up(self, report: Report) -> None:
        """Remove what the last change left over: resources gone from the template, and replaced ones."""
        for resource in self.deployed.values():
            _run(resource, "DELETE", resource.clean_up, report, quiet=True)
        for resource, body in self._removed:
            if body.get("DeletionPolicy", "Delete") in ("Delete", "Snapshot"):
                _run(resource, "DELETE", resource.delete, report)
            del self.deployed[resource.logical_resource_id]
        self._removed = []

    def remove(self, report: Report, *, rollback: bool = False) -> None:
        """Delete everything in reverse order but what is retained; ``rollback`` is that of a failed creation."""
        for logical_id in reversed(list(self.deployed)):
            policy = self._resource_json_map[logical_id].get("DeletionPolicy", "Delete")
            if policy == "Retain" or (policy == "RetainExceptOnCreate" and not rollback):
                report(self.deployed[logical_id], "DELETE_SKIPPED", None)
            else:
                _run(self.deployed[logical_id], "DELETE", self.deployed[logical_id].delete, report)
            del self.deployed[logical_id]

    def _put(self, logical_id: str, place: Place, report: Report) -> None:
        body = self._resource_json_map[logical_id]
        if not self._wanted(logical_id):
            return
        model = model_of(body["Type"])
        assert model is not None  # noqa: S101 - load() has refused unknown types
        resource = model(place, logical_id, body["Type"], {})
        properties = _run(resource, "CREATE", lambda: resolve(body.get("Properties", {}), self), report, quiet=True)
        present = self.deployed.get(logical_id)
        if present is None:
            resource.properties = properties
            _run(resource, "CREATE", resource.create, report)
            self.deployed[logical_id] = resource
        elif present.properties != properties:
            _run(present, "UPDATE", lambda: present.update(properties), report)

    def _wanted(self, logical_id: str) -> bool:
        body = self._resource_json_map.get(logical_id)
        return body is not None and ("Condition" not in body or self.lazy_condition_map[body["Condition"]])

    def _order(self) -> Iterator[str]:
        bodies = self._resource_json_map
        graph = {name: [other for other in dependencies(body) if other in bodies] for name, body in bodies.items()}
        try:
            yield from TopologicalSorter(graph).static_order()
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            raise ValidationError(message=f"circular dependency between resources: {circle}") from error


def _known(body: dict[str, Any]) -> bool:
    return model_of(body["Type"]) is not None


def _run(resource: Resource, action: str, step: Callable[[], Any], report: Report, *, quiet: bool = False) -> Any:
    """Run one step of a resource, reporting how it went; any failure becomes a ``ResourceError``."""
    if not quiet:
        report(resource, f"{action}_IN_PROGRESS", None)
    try:
        result = step()
    except Exception as error:  # a model may raise anything: its cause must reach who deploys, not become HTTP 500
        failure = ResourceError(resource, action, error)
        log.debug("%s", failure, exc_info=True)
        report(resource, f"{action}_FAILED", failure.reason)
        raise failure from error
    if not quiet:
        report(resource, f"{action}_COMPLETE", None)
    return result
