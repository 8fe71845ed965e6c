"""CloudTrail: a trail that may write to its bucket and use its key, or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.key_policy import admits, allowing
from tandem.rehearsal.cloud.resource import Resource

_SERVICE = "cloudtrail.amazonaws.com"


class Trail(Resource):
    """A trail; refused, as CloudTrail does, where the policy of its bucket or key does not admit it."""

    type, name_property = "AWS::CloudTrail::Trail", "TrailName"

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        self.require("IsLogging", "S3BucketName")
        self._check()
        self.call("cloudtrail", "create_trail", self._head())
        self.physical_resource_id = self.name
        self.attributes = {"Arn": self._arn}
        self._select()

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        if self.properties.get("TrailName") != properties.get("TrailName"):
            super().update(properties)
            return
        self.properties = dict(properties)
        self._check()
        self.call("cloudtrail", "update_trail", self._head())
        self._select()

    @property
    def _arn(self) -> str:
        return f"arn:aws:cloudtrail:{self.place.region}:{self.place.account}:trail/{self.name}"

    def _head(self) -> dict[str, Any]:
        kept = self.without("IsLogging", "EventSelectors", "AdvancedEventSelectors", "KMSKeyId", "Tags")
        key = {"KmsKeyId": self.properties["KMSKeyId"]} if "KMSKeyId" in self.properties else {}
        return {"Name": self.name, **{name: kept[name] for name in kept if name != "TrailName"}, **key}

    def _select(self) -> None:
        if "EventSelectors" in self.properties:
            selectors = {"TrailName": self.name, "EventSelectors": self.properties["EventSelectors"]}
            self.call("cloudtrail", "put_event_selectors", selectors)
        verb = "start" if str(self.properties["IsLogging"]).lower() == "true" else "stop"
        self.call("cloudtrail", f"{verb}_logging", {"Name": self.name})

    def _check(self) -> None:
        context = {"aws:SourceArn": self._arn, "s3:x-amz-acl": "bucket-owner-full-control"}
        bucket, key = self.properties["S3BucketName"], self.properties.get("KMSKeyId")
        policy = json.loads(self.call("s3", "get_bucket_policy", {"Bucket": bucket})["Policy"])
        for action in ("s3:GetBucketAcl", "s3:PutObject"):
            if not allowing(policy, action, service=_SERVICE, context=context):
                raise ValueError(f"the policy of bucket {bucket} does not let {self._arn} do {action}")
        if key and not admits(self.place.api, key, "kms:GenerateDataKey", service=_SERVICE, context=context):
            raise ValueError(f"the policy of key {key} does not admit {self._arn}")

    def delete(self) -> None:  # noqa: D102
        self.call("cloudtrail", "delete_trail", {"Name": self.physical_resource_id})
