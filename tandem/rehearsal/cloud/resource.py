"""What CloudFormation needs of one resource: create, update, delete, Ref and GetAtt.

A resource type is a subclass of ``Resource`` that calls the embedded AWS as any client does, or a moto model with a
``MotoResource`` in front. Subclasses register themselves by their ``type``.
"""

from __future__ import annotations

import builtins
import copy
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from moto.cloudformation.exceptions import UnformattedGetAttTemplateException, ValidationError
from moto.cloudformation.parsing import generate_resource_name, get_model_map, get_name_type_map
from moto.ec2.models import ec2_backends
from moto.ec2.models.core import TaggedEC2Resource

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.functions import Functions
from tandem.rehearsal.cloud.middleware import Mailbox


@dataclass(frozen=True)
class Place:
    """Say where a resource is: the stack's ids, the account and region, and the API to call."""

    account: str
    region: str
    stack_id: str
    stack_name: str
    api: Api
    functions: Functions
    mailbox: Mailbox
    tags: Mapping[str, str]


class Resource:
    """Be one deployed resource.

    ``properties`` are resolved. A subclass sets ``type`` and implements ``create`` and ``delete``; ``create`` sets
    ``physical_resource_id`` and ``attributes``. Whatever they raise fails the stack with that cause.
    """

    type: ClassVar[str] = ""
    name_property: ClassVar[str | None] = None
    name_limit: ClassVar[int] = 255
    known: ClassVar[dict[str, builtins.type[Resource]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.type:
            Resource.known[cls.type] = cls

    def __init__(self, place: Place, logical_id: str, cf_type: str, properties: Mapping[str, Any]) -> None:
        self.place = place
        self.logical_resource_id = logical_id
        self.cf_resource_type = cf_type
        self.properties: dict[str, Any] = copy.deepcopy(dict(properties))
        self.physical_resource_id: str | None = None
        self.attributes: dict[str, Any] = {}
        self.generated_name = _shortened(generate_resource_name(cf_type, place.stack_name, logical_id), self.name_limit)

    @property
    def name(self) -> str:
        """Return the name given by the template, or the one that CloudFormation generates."""
        return str(self.properties.get(self.name_property or "", self.generated_name))

    @property
    def named(self) -> dict[str, Any]:
        """Return the properties with the name filled in."""
        return {**self.properties, **({self.name_property: self.name} if self.name_property else {})}

    def call(self, service: str, operation: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Call the embedded AWS; see ``Api.call``."""
        return self.place.api.call(service, operation, properties, **more)

    def without(self, *names: str) -> dict[str, Any]:
        """Return ``named`` but for the properties that an API call does not take."""
        return {name: value for name, value in self.named.items() if name not in names}

    def only(self, *names: str) -> dict[str, Any]:
        """Return those of ``names`` that ``named`` has."""
        return {name: self.named[name] for name in names if name in self.named}

    def require(self, *names: str) -> None:
        """Raise ``ValidationError`` unless the template sets every one of ``names``."""
        missing = [name for name in names if name not in self.properties]
        if missing:
            raise ValidationError(message=f"required properties are missing: {', '.join(missing)}")

    def create(self) -> None:
        """Make the resource."""
        raise NotImplementedError

    def update(self, properties: Mapping[str, Any]) -> None:
        """Bring the resource to ``properties``; unless a type knows better, make it anew under its name."""
        self.delete()
        self.properties = copy.deepcopy(dict(properties))
        self.create()

    def clean_up(self) -> None:
        """Remove what an update left behind, once the whole stack is updated."""

    def delete(self) -> None:
        """Remove the resource."""
        raise NotImplementedError

    def get_cfn_attribute(self, name: str) -> Any:
        """Return the attribute that Fn::GetAtt names."""
        if name not in self.attributes:
            known = ", ".join(sorted(self.attributes)) or "none"
            raise ValidationError(message=f"{self.cf_resource_type} has no attribute {name}; it has: {known}")
        return self.attributes[name]


class MotoResource(Resource):
    """Be a resource whose type moto models itself; a subclass adds what moto lacks, most often ``delete``."""

    model: Any = None

    def __init__(self, place: Place, logical_id: str, cf_type: str, properties: Mapping[str, Any]) -> None:
        super().__init__(place, logical_id, cf_type, properties)
        self.model_class: Any = get_model_map()[cf_type]
        self.moto_name = get_name_type_map().get(cf_type)

    @property
    def name(self) -> str:
        """Return the name given by the template, or the one that CloudFormation generates."""
        return str(self.properties.get(self.moto_name or "", self.generated_name))

    def _json(self) -> dict[str, Any]:
        return {"Type": self.cf_resource_type, "Properties": copy.deepcopy(self.properties)}

    def _adopt(self, model: Any) -> None:
        self.model = model
        self.physical_resource_id = model.physical_resource_id
        if isinstance(model, TaggedEC2Resource):
            own = {"stack-name": self.place.stack_name, "stack-id": self.place.stack_id}
            tags = {f"aws:cloudformation:{key}": value for key, value in own.items()}
            tags["aws:cloudformation:logical-id"] = self.logical_resource_id
            backend = ec2_backends[self.place.account][self.place.region]
            backend.create_tags([self.physical_resource_id], {**self.place.tags, **tags})

    def create(self) -> None:
        """Make the moto model."""
        ids = {"LogicalId": self.logical_resource_id, "StackId": self.place.stack_id}
        place, kind = (self.place.account, self.place.region), self.cf_resource_type
        make = self.model_class.create_from_cloudformation_json
        self._adopt(make(self.name, self._json(), *place, **ids, ResourceType=kind))

    def update(self, properties: Mapping[str, Any]) -> None:
        """Update the moto model, or make it anew where moto cannot update it."""
        change = self.model_class.update_from_cloudformation_json
        if hasattr(change, "__isabstractmethod__"):
            super().update(properties)
            return
        self.properties = copy.deepcopy(dict(properties))
        self._adopt(
            change(
                original_resource=self.model,
                new_resource_name=self.name,
                cloudformation_json=self._json(),
                account_id=self.place.account,
                region_name=self.place.region,
            )
        )

    def delete(self) -> None:
        """Delete the moto model by whichever of its two ways it has."""
        place = (self.place.account, self.place.region)
        if hasattr(self.model, "delete"):
            self.model.delete(*place)
            return
        remove = self.model_class.delete_from_cloudformation_json
        if hasattr(remove, "__isabstractmethod__"):
            raise ValidationError(message=f"the embedded AWS cannot delete {self.cf_resource_type}")
        remove(self.physical_resource_id, self._json(), *place)

    def get_cfn_attribute(self, name: str) -> Any:
        """Return moto's attribute, or one that the subclass added."""
        if name in self.attributes:
            return self.attributes[name]
        try:
            return self.model.get_cfn_attribute(name)
        except (NotImplementedError, UnformattedGetAttTemplateException) as error:
            raise ValidationError(message=f"{self.cf_resource_type} has no attribute {name}") from error


def _shortened(name: str, limit: int) -> str:
    """Return a generated name with its middle, the logical id, cut so that it fits ``limit``; its end is random."""
    head, _, tail = name.rpartition("-")
    return name if len(name) <= limit else f"{head[: limit - len(tail) - 1].rstrip('-')}-{tail}"


def random_id(prefix: str) -> str:
    """Return an id as EC2 and others make them: the prefix and 17 hexadecimal digits."""
    return f"{prefix}-{secrets.token_hex(9)[:17]}"
