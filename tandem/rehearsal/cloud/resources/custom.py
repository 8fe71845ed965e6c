"""Custom resources: run the deployed function that the template names, and obey its response."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.resource import Resource

_RESPONSE_KEYS = {
    "Status",
    "Reason",
    "PhysicalResourceId",
    "StackId",
    "RequestId",
    "LogicalResourceId",
    "NoEcho",
    "Data",
}


class CustomResourceError(Exception):
    """Tell why a custom resource failed: its function's reason, or that it sent no proper response."""


class CustomResource(Resource):
    """A resource that a function of the same deployment makes."""

    type = "AWS::CloudFormation::CustomResource"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._replaced: tuple[str, dict[str, Any]] | None = None

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        self.require("ServiceToken")
        self._adopt(self._send("Create", self.properties))

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        old, before = str(self.physical_resource_id), self.properties
        more = {"PhysicalResourceId": old, "OldResourceProperties": _as_text(before)}
        self._adopt(self._send("Update", properties, **more))
        self.properties = dict(properties)
        if self.physical_resource_id != old:
            self._replaced = (old, before)

    def clean_up(self) -> None:  # noqa: D102
        if self._replaced:
            old, properties = self._replaced
            self._replaced = None
            self._send("Delete", properties, PhysicalResourceId=old)

    def delete(self) -> None:  # noqa: D102
        self._send("Delete", self.properties, PhysicalResourceId=self.physical_resource_id)

    def _adopt(self, response: Mapping[str, Any]) -> None:
        if not response.get("PhysicalResourceId"):
            raise CustomResourceError("the function's response has no PhysicalResourceId")
        self.physical_resource_id = str(response["PhysicalResourceId"])
        self.attributes = dict(response.get("Data") or {})

    def _send(self, request: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Send the event and return the function's response; raise ``CustomResourceError`` if it is not SUCCESS."""
        place = self.place
        url = place.mailbox.open(place.api.endpoint)
        event = {
            "RequestType": request,
            "ServiceToken": properties["ServiceToken"],
            "ResponseURL": url,
            "StackId": place.stack_id,
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": self.logical_resource_id,
            "ResourceType": self.cf_resource_type,
            "ResourceProperties": _as_text(properties),
            **more,
        }
        result = place.functions.invoke(properties["ServiceToken"], event)
        return self._checked(place.mailbox.close(url), event, result)

    def _checked(self, body: bytes | None, event: Mapping[str, Any], result: Any) -> dict[str, Any]:
        if body is None:
            ended = f"{result.error or 'ended'}: {result.payload.decode()[:500]}"
            raise CustomResourceError(f"the function sent no response; it {ended}; its log ends: {result.log[-1000:]}")
        response: dict[str, Any] = json.loads(body)
        unknown = response.keys() - _RESPONSE_KEYS
        if unknown:
            raise CustomResourceError(f"the function's response has unknown keys: {', '.join(sorted(unknown))}")
        for key in ("StackId", "RequestId", "LogicalResourceId"):
            if response.get(key) != event[key]:
                raise CustomResourceError(
                    f"the function's response has {key} {response.get(key)!r}, not {event[key]!r}"
                )
        if response.get("Status") != "SUCCESS":
            raise CustomResourceError(f"received response status [{response.get('Status')}]: {response.get('Reason')}")
        return response


def _as_text(value: Any) -> Any:
    """Return properties as CloudFormation sends them: every number and boolean a string."""
    if isinstance(value, Mapping):
        return {key: _as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else str(value)
