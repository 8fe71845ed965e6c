"""IAM and KMS: what moto's models lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.resource import MotoResource, Resource


class ManagedPolicy(MotoResource):
    """A managed policy; it is taken from its roles, users and groups before it goes."""

    type = "AWS::IAM::ManagedPolicy"

    def delete(self) -> None:  # noqa: D102 - said by Resource
        policy = {"PolicyArn": self.physical_resource_id}
        holders = self.call("iam", "list_entities_for_policy", policy)
        for kind in ("Role", "User", "Group"):
            for holder in holders[f"Policy{kind}s"]:
                one = {f"{kind}Name": holder[f"{kind}Name"], **policy}
                self.call("iam", f"detach_{kind.lower()}_policy", one)
        self.call("iam", "delete_policy", policy)


class Key(Resource):
    """A KMS key; deleting it schedules its deletion, as AWS does."""

    type = "AWS::KMS::Key"

    def create(self) -> None:  # noqa: D102
        head = self.only("Description", "KeyUsage", "KeySpec", "MultiRegion", "Origin")
        head |= {"Policy": self.properties["KeyPolicy"]} if "KeyPolicy" in self.properties else {}
        tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in self.properties.get("Tags", [])]
        made = self.call("kms", "create_key", {**head, "Tags": tags})["KeyMetadata"]
        self.physical_resource_id = self.attributes["KeyId"] = made["KeyId"]
        self.attributes["Arn"] = made["Arn"]
        self._rotate()

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        fixed = ("KeyUsage", "KeySpec", "MultiRegion", "Origin")
        if any(self.properties.get(key) != properties.get(key) for key in fixed):
            super().update(properties)
            return
        self.properties = dict(properties)
        if "KeyPolicy" in properties:
            policy = {"KeyId": self.physical_resource_id, "PolicyName": "default", "Policy": properties["KeyPolicy"]}
            self.call("kms", "put_key_policy", policy)
        self._rotate()

    def _rotate(self) -> None:
        verb = "enable" if str(self.properties.get("EnableKeyRotation")).lower() == "true" else "disable"
        self.call("kms", f"{verb}_key_rotation", {"KeyId": self.physical_resource_id})

    def delete(self) -> None:  # noqa: D102
        window = {"PendingWindowInDays": self.properties.get("PendingWindowInDays", 30)}
        self.call("kms", "schedule_key_deletion", {"KeyId": self.physical_resource_id, **window})
