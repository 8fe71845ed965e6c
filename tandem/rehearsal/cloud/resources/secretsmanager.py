"""Secrets Manager: secrets with generated values, policies, attachments and rotation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.resource import Resource


class Secret(Resource):
    """A secret; ``GenerateSecretString`` makes its value at creation and when the generator changes."""

    type, name_property = "AWS::SecretsManager::Secret", "Name"

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        kept = self.only("Name", "Description", "KmsKeyId", "Tags")
        made = self.call("secretsmanager", "create_secret", {**kept, **self._value(self.properties)})
        self.physical_resource_id = self.attributes["Id"] = made["ARN"]

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        if self.properties.get("Name") != properties.get("Name"):
            super().update(properties)
            return
        keys = ("SecretString", "GenerateSecretString")
        same = all(self.properties.get(key) == properties.get(key) for key in keys)
        self.properties = dict(properties)
        changes = {key: properties[key] for key in ("Description", "KmsKeyId") if key in properties}
        value = {} if same else self._value(properties)
        self.call("secretsmanager", "update_secret", {"SecretId": self.physical_resource_id, **changes, **value})

    def _value(self, properties: Mapping[str, Any]) -> dict[str, str]:
        if "GenerateSecretString" not in properties:
            return {"SecretString": properties["SecretString"]} if "SecretString" in properties else {}
        how = dict(properties["GenerateSecretString"])
        template, key = how.pop("SecretStringTemplate", None), how.pop("GenerateStringKey", None)
        if (template is None) != (key is None):
            raise ValueError("SecretStringTemplate and GenerateStringKey go together; one of them is missing")
        password = self.call("secretsmanager", "get_random_password", how)["RandomPassword"]
        return {"SecretString": password if key is None else json.dumps({**json.loads(str(template)), key: password})}

    def delete(self) -> None:  # noqa: D102
        secret = {"SecretId": self.physical_resource_id, "ForceDeleteWithoutRecovery": True}
        self.call("secretsmanager", "delete_secret", secret)


class ResourcePolicy(Resource):
    """The resource policy of a secret."""

    type = "AWS::SecretsManager::ResourcePolicy"

    def create(self) -> None:  # noqa: D102
        self.call("secretsmanager", "put_resource_policy", self.properties)
        self.physical_resource_id = self.attributes["Id"] = self.properties["SecretId"]

    def delete(self) -> None:  # noqa: D102
        self.call("secretsmanager", "delete_resource_policy", {"SecretId": self.physical_resource_id})


class SecretTargetAttachment(Resource):
    """The attachment of a secret to a database; refers to the secret, which keeps its own value here."""

    type = "AWS::SecretsManager::SecretTargetAttachment"

    def create(self) -> None:  # noqa: D102
        self.require("SecretId", "TargetId", "TargetType")
        found = self.call("secretsmanager", "describe_secret", {"SecretId": self.properties["SecretId"]})
        self.physical_resource_id = self.attributes["Id"] = found["ARN"]

    def delete(self) -> None:  # noqa: D102
        pass  # it has no state of its own


class RotationSchedule(Resource):
    """The rotation of a secret; ``HostedRotationLambda`` is refused, since its function is AWS's own."""

    type = "AWS::SecretsManager::RotationSchedule"

    def create(self) -> None:  # noqa: D102
        self.require("SecretId", "RotationLambdaARN")
        properties = self.without("RotateImmediatelyOnUpdate")
        at_once = self.properties.get("RotateImmediatelyOnUpdate", True)
        self.call("secretsmanager", "rotate_secret", {**properties, "RotateImmediately": at_once})
        self.physical_resource_id = self.attributes["Id"] = self.properties["SecretId"]

    def delete(self) -> None:  # noqa: D102
        self.call("secretsmanager", "cancel_rotate_secret", {"SecretId": self.physical_resource_id})
