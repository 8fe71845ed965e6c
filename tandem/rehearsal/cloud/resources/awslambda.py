"""Lambda: functions, versions, aliases, URLs and permissions."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from importlib import resources
from typing import Any

from tandem.rehearsal.cloud.resource import MotoResource, Resource

_NOT_AT_CREATION = ("ReservedConcurrentExecutions", "RuntimeManagementConfig")


class Function(Resource):
    """A function."""

    type, name_property = "AWS::Lambda::Function", "FunctionName"
    name_limit = 64

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        self.require("Code", "Role")
        properties = {**self.without(*_NOT_AT_CREATION), "Code": _code(self.properties)}
        made = self.call("lambda", "create_function", properties)
        self.physical_resource_id, self.attributes = self.name, {"Arn": made["FunctionArn"]}
        self._reserve()

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        fixed = ("FunctionName", "PackageType")
        if any(self.properties.get(key) != properties.get(key) for key in fixed):
            super().update(properties)
            return
        self.properties = dict(properties)
        function = {"FunctionName": self.physical_resource_id}
        settings = {key: value for key, value in properties.items() if key in _CONFIGURATION}
        self.call("lambda", "update_function_configuration", {**function, **settings})
        self.call("lambda", "update_function_code", {**function, **_code(properties)})
        self._reserve()

    def _reserve(self) -> None:
        if "ReservedConcurrentExecutions" in self.properties:
            limit = {"ReservedConcurrentExecutions": self.properties["ReservedConcurrentExecutions"]}
            self.call("lambda", "put_function_concurrency", {"FunctionName": self.physical_resource_id, **limit})

    def delete(self) -> None:  # noqa: D102
        self.call("lambda", "delete_function", {"FunctionName": self.physical_resource_id})


_CONFIGURATION = (
    "Description",
    "Environment",
    "EphemeralStorage",
    "Handler",
    "KMSKeyArn",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "Timeout",
    "TracingConfig",
    "VpcConfig",
)


def _code(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the code is; a source in the template is packed as AWS does it: index and cfnresponse."""
    code = dict(properties["Code"])
    if "ZipFile" not in code:
        return code
    packed, python = io.BytesIO(), str(properties.get("Runtime", "")).startswith("python")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.py" if python else "index.js", code["ZipFile"])
        if python:
            archive.writestr("cfnresponse.py", _CFNRESPONSE.read_text())
    return {**code, "ZipFile": packed.getvalue()}


_CFNRESPONSE = resources.files("moto") / "awslambda" / "resources" / "cfnresponse.py.txt"


class Version(Resource):
    """A published version; it goes with its function."""

    type = "AWS::Lambda::Version"

    def create(self) -> None:  # noqa: D102
        made = self.call("lambda", "publish_version", self.only("FunctionName", "Description", "CodeSha256"))
        self.physical_resource_id = self.attributes["FunctionArn"] = made["FunctionArn"]
        self.attributes["Version"] = made["Version"]

    def delete(self) -> None:  # noqa: D102
        pass


class Alias(Resource):
    """An alias of a function's version."""

    type, name_property = "AWS::Lambda::Alias", "Name"

    def create(self) -> None:  # noqa: D102
        made = self.call("lambda", "create_alias", self.without("ProvisionedConcurrencyConfig"))
        self.physical_resource_id = self.attributes["AliasArn"] = made["AliasArn"]

    def delete(self) -> None:  # noqa: D102
        alias = {"FunctionName": self.properties["FunctionName"], "Name": self.name}
        self.call("lambda", "delete_alias", alias)


class Url(Resource):
    """The URL of a function."""

    type = "AWS::Lambda::Url"

    def create(self) -> None:  # noqa: D102
        self.require("TargetFunctionArn", "AuthType")
        function = {"FunctionName": self.properties["TargetFunctionArn"]}
        made = self.call("lambda", "create_function_url_config", {**self.without("TargetFunctionArn"), **function})
        self.physical_resource_id = made["FunctionArn"]
        self.attributes = {"FunctionArn": made["FunctionArn"], "FunctionUrl": made["FunctionUrl"]}

    def delete(self) -> None:  # noqa: D102
        function = {"FunctionName": self.properties["TargetFunctionArn"]}
        self.call("lambda", "delete_function_url_config", function)


class Permission(Resource):
    """Who may invoke a function."""

    type = "AWS::Lambda::Permission"

    def create(self) -> None:  # noqa: D102
        self.call("lambda", "add_permission", {**self.properties, "StatementId": self.generated_name})
        self.physical_resource_id = self.attributes["Id"] = self.generated_name

    def delete(self) -> None:  # noqa: D102
        statement = {"FunctionName": self.properties["FunctionName"], "StatementId": self.physical_resource_id}
        self.call("lambda", "remove_permission", statement)


class LayerVersion(MotoResource):
    """A version of a layer."""

    type = "AWS::Lambda::LayerVersion"

    def delete(self) -> None:  # noqa: D102
        name, version = str(self.physical_resource_id).rsplit(":", 1)
        self.call("lambda", "delete_layer_version", {"LayerName": name, "VersionNumber": version})
