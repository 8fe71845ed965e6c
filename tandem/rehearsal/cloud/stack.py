"""A CloudFormation stack that rolls back, says why it failed, and keeps its exports and protections.

Stands in for ``moto.cloudformation.models.Stack``: a failed change ends in the status CloudFormation gives it, with an
event a resource, so that the CLI prints the cause; moto would answer HTTP 500 and leave half a stack.
"""

from __future__ import annotations

from typing import Any, ClassVar

from moto.cloudformation import models
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import CloudFormationBackend, Event, cloudformation_backends
from moto.cloudformation.parsing import Export, Output
from moto.core.responses import ActionResult

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.functions import Functions
from tandem.rehearsal.cloud.middleware import Mailbox
from tandem.rehearsal.cloud.resource import Place, Resource
from tandem.rehearsal.cloud.resource_map import ResourceError, Resources
from tandem.rehearsal.cloud.template import imports, resolve

Failures = (ResourceError, ValidationError)


class Stack(models.Stack):
    """Deploy one template."""

    api: ClassVar[Api]
    functions: ClassVar[Functions]
    mailbox: ClassVar[Mailbox]
    resource_map: Resources

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._outputs: list[Output] = []
        self._exports: list[Export] = []
        self.stack_status_reason: str | None = None
        super().__init__(*args, **kwargs)
        self.parameters = self.with_defaults(self.parameters)

    @property
    def _backend(self) -> CloudFormationBackend:
        return cloudformation_backends[self.account_id][self.region_name]

    @property
    def _place(self) -> Place:
        ids = (self.account_id, self.region_name, self.stack_id, self.name)
        return Place(*ids, self.api, self.functions, self.mailbox, self.tags)

    @property
    def stack_resources(self) -> list[Resource]:  # type: ignore[override] # moto types its values as classes
        """Return what is deployed."""
        return list(self.resource_map.deployed.values())

    @property
    def outputs(self) -> list[dict[str, Any]] | None:
        """Return the outputs as DescribeStacks has them."""
        exported = {export.value: export.name for export in self._exports}
        rows = [
            {
                "OutputKey": o.key,
                "OutputValue": o.value,
                "Description": o.description,
                "ExportName": exported.get(o.value),
            }
            for o in self._outputs
        ]
        return rows or None

    @property
    def exports(self) -> list[Export]:
        """Return what other stacks may import; nothing before the stack is deployed."""
        return self._exports

    def create_resources(self) -> None:
        """Create everything; roll back if that fails."""
        self._turn("CREATE_IN_PROGRESS")
        try:
            self._change(self.template_dict, self.parameters)
        except Failures as failure:
            self._turn("ROLLBACK_IN_PROGRESS", str(failure))
            self._finish("ROLLBACK", lambda: self.resource_map.remove(self._report, rollback=True), str(failure))
        else:
            self._turn("CREATE_COMPLETE")

    def update(
        self,
        template: str,
        role_arn: str | None = None,
        parameters: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Change to ``template``; change back if that fails."""
        new, given = self.parse_template(template), self.with_defaults(parameters or {}, template)
        self._turn("UPDATE_IN_PROGRESS", "User Initiated")
        try:
            self._change(new, given)
            self.resource_map.clean_up(self._report)
        except Failures as failure:
            self._turn("UPDATE_ROLLBACK_IN_PROGRESS", str(failure))
            self._finish("UPDATE_ROLLBACK", self._change_back, str(failure))
            return
        self.template, self.template_dict, self.parameters = template, new, given
        self.role_arn, self.tags = role_arn, self.tags if tags is None else tags
        self._turn("UPDATE_COMPLETE")

    def delete(self) -> None:
        """Delete everything that is not retained; a failure leaves the stack in DELETE_FAILED."""
        self._turn("DELETE_IN_PROGRESS", "User Initiated")
        self._finish("DELETE", lambda: self.resource_map.remove(self._report), None)

    def _change(self, template: dict[str, Any], parameters: dict[str, Any]) -> None:
        self.resource_map.exports = self._backend.exports
        self.resource_map.change_to(template, parameters, self._place, self._report)
        self._publish(template)

    def _change_back(self) -> None:
        self._change(self.template_dict, self.parameters)
        self.resource_map.clean_up(self._report)

    def _finish(self, action: str, step: Any, reason: str | None) -> None:
        try:
            step()
        except Failures as failure:
            self._turn(f"{action}_FAILED", "; ".join(text for text in (reason, str(failure)) if text))
        else:
            self._turn(f"{action}_COMPLETE", reason)

    def _publish(self, template: dict[str, Any]) -> None:
        """Resolve the outputs, and replace this stack's exports by the new ones."""
        wanted = {key: body for key, body in (template.get("Outputs") or {}).items() if self._shown(body)}
        values = {key: resolve(body["Value"], self.resource_map) for key, body in wanted.items()}
        outputs = [Output(key, values[key], str(body.get("Description", ""))) for key, body in wanted.items()]
        exports = [
            Export(self.stack_id, resolve(body["Export"]["Name"], self.resource_map), values[key])
            for key, body in wanted.items()
            if "Export" in body
        ]
        self._check(exports)
        for export in self._exports:
            self._backend.exports.pop(export.name, None)
        self._backend.exports.update({export.name: export for export in exports})
        self._outputs, self._exports = outputs, exports

    def _shown(self, output: dict[str, Any]) -> bool:
        return "Condition" not in output or bool(self.resource_map.lazy_condition_map[output["Condition"]])

    def _check(self, exports: list[Export]) -> None:
        for export in exports:
            present = self._backend.exports.get(export.name)
            if present and present.exporting_stack_id != self.stack_id:
                raise ValidationError(message=f"export {export.name} is already exported by another stack")
        kept = {export.name: export.value for export in exports}
        for export in self._exports:
            if kept.get(export.name) != export.value:
                refuse_if_imported(self._backend, export.name)

    def with_defaults(self, given: dict[str, Any], template: str | None = None) -> dict[str, Any]:
        """Return every parameter's value, so that ``UsePreviousValue`` finds also those nobody passed."""
        slots = (self.parse_template(template) if template else self.template_dict).get("Parameters", {})
        defaults = {name: body["Default"] for name, body in slots.items() if "Default" in body}
        return {**defaults, **given}

    def _turn(self, status: str, reason: str | None = None) -> None:
        self.status, self.stack_status_reason = status, reason
        self._add_stack_event(status, resource_status_reason=reason)

    def _create_output_map(self) -> Any:
        return None  # outputs are resolved once, by _publish

    def _report(self, resource: Resource, status: str, reason: str | None) -> None:
        event = Event(
            stack_id=self.stack_id,
            stack_name=self.name,
            logical_resource_id=resource.logical_resource_id,
            physical_resource_id=resource.physical_resource_id or "",
            resource_type=resource.cf_resource_type,
            resource_status=status,
            resource_status_reason=reason,
            resource_properties=None,
        )
        self.events.append(event)


def execute_change_set(backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None) -> None:
    """Carry out a change set, named by its id or its name within a stack."""
    for change_set in backend.change_sets.values():
        stack = change_set.stack
        named = change_set.change_set_name == change_set_name and stack_name in (None, stack.name, stack.stack_id)
        if change_set.change_set_id == change_set_name or named:
            break
    else:
        raise ValidationError(message=f"there is no change set {change_set_name} of stack {stack_name}")
    if change_set.change_set_type == "CREATE":
        stack.template, stack.template_dict = change_set.template, change_set.template_dict
        assert isinstance(stack, Stack)  # noqa: S101 - seams put no other in place
        stack.parameters = stack.with_defaults(change_set.parameters)
        stack.tags = change_set.tags or {}
        stack.create_resources()
    else:
        stack.update(change_set.template, change_set.role_arn, change_set.parameters, change_set.tags)
    change_set.execution_status = "EXECUTE_COMPLETE"


def update_termination_protection(response: Any) -> ActionResult:
    """Answer CloudFormation's UpdateTerminationProtection, which moto lacks."""
    stack = response.cloudformation_backend.get_stack(response._get_param("StackName"))
    stack.enable_termination_protection = response._get_bool_param("EnableTerminationProtection")
    return ActionResult({"StackId": stack.stack_id})


def refuse_if_imported(backend: CloudFormationBackend, name: str) -> None:
    """Raise ``ValidationError`` if a stack imports the export ``name``."""
    for stack in backend.stacks.values():
        if name in imports(stack.template_dict, stack.resource_map):
            raise ValidationError(message=f"export {name} cannot be deleted as it is in use by {stack.name}")


def delete_stack(backend: CloudFormationBackend, name_or_id: str) -> None:
    """Delete a stack unless it is protected or another imports from it; a stack that is not there is no error."""
    found = [stack for stack in backend.stacks.values() if name_or_id in (stack.name, stack.stack_id)]
    for stack in found:
        if stack.enable_termination_protection:
            raise ValidationError(
                message=f"stack {stack.name} cannot be deleted while TerminationProtection is enabled"
            )
        for export in stack.exports:
            refuse_if_imported(backend, export.name)
        stack.delete()
        if stack.status == "DELETE_COMPLETE":
            for export in stack.exports:
                backend.exports.pop(export.name, None)
            backend.deleted_stacks[stack.stack_id] = backend.stacks.pop(stack.stack_id)
