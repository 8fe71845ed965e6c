"""Buckets, and resource policies of buckets, queues and topics, and subscriptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.resource import MotoResource, Resource


class Bucket(MotoResource):
    """A bucket with what moto's model passes over: versioning, public access, ownership."""

    type = "AWS::S3::Bucket"

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        super().create()
        self._configure()

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        super().update(properties)
        self._configure()

    def _configure(self) -> None:
        for name, operation in _BUCKET_SETTINGS.items():
            if name in self.properties:
                setting = {"Bucket": self.physical_resource_id, name: self.properties[name]}
                self.call("s3", operation, setting)

    def delete(self) -> None:  # noqa: D102
        self.call("s3", "delete_bucket", {"Bucket": self.physical_resource_id})


_BUCKET_SETTINGS = {
    "VersioningConfiguration": "put_bucket_versioning",
    "PublicAccessBlockConfiguration": "put_public_access_block",
    "OwnershipControls": "put_bucket_ownership_controls",
}


class BucketPolicy(Resource):
    """The policy of a bucket."""

    type = "AWS::S3::BucketPolicy"

    def create(self) -> None:  # noqa: D102
        self.require("Bucket", "PolicyDocument")
        policy = {"Bucket": self.properties["Bucket"], "Policy": self.properties["PolicyDocument"]}
        self.call("s3", "put_bucket_policy", policy)
        self.physical_resource_id = self.properties["Bucket"]

    def delete(self) -> None:  # noqa: D102
        self.call("s3", "delete_bucket_policy", {"Bucket": self.physical_resource_id})


class QueuePolicy(Resource):
    """The policy of one or more queues."""

    type = "AWS::SQS::QueuePolicy"

    def _set(self, policy: str) -> None:
        for queue in self.properties["Queues"]:
            self.call("sqs", "set_queue_attributes", {"QueueUrl": queue, "Attributes": {"Policy": policy}})

    def create(self) -> None:  # noqa: D102
        self.require("Queues", "PolicyDocument")
        self._set(json.dumps(self.properties["PolicyDocument"]))
        self.physical_resource_id = self.attributes["Id"] = self.generated_name

    def delete(self) -> None:  # noqa: D102
        self._set("")


class TopicPolicy(Resource):
    """The policy of one or more topics; it goes with them."""

    type = "AWS::SNS::TopicPolicy"

    def create(self) -> None:  # noqa: D102
        self.require("Topics", "PolicyDocument")
        policy = {"AttributeName": "Policy", "AttributeValue": json.dumps(self.properties["PolicyDocument"])}
        for topic in self.properties["Topics"]:
            self.call("sns", "set_topic_attributes", {"TopicArn": topic, **policy})
        self.physical_resource_id = self.attributes["Id"] = self.generated_name

    def delete(self) -> None:  # noqa: D102
        pass  # AWS puts the default policy back, which grants nothing that a rehearsal uses


class Subscription(Resource):
    """A subscription to a topic."""

    type = "AWS::SNS::Subscription"

    def create(self) -> None:  # noqa: D102
        self.require("TopicArn", "Protocol")
        head = self.only("TopicArn", "Protocol", "Endpoint")
        more = {key: value for key, value in self.properties.items() if key not in (*head, "Region")}
        attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in more.items()}
        made = self.call("sns", "subscribe", {**head, "Attributes": attributes, "ReturnSubscriptionArn": True})
        self.physical_resource_id = self.attributes["Arn"] = made["SubscriptionArn"]

    def delete(self) -> None:  # noqa: D102
        self.call("sns", "unsubscribe", {"SubscriptionArn": self.physical_resource_id})
