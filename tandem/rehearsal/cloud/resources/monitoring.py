"""Alarms, log groups and what hangs on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.key_policy import admits
from tandem.rehearsal.cloud.resource import Resource


class Alarm(Resource):
    """A metric alarm."""

    type, name_property = "AWS::CloudWatch::Alarm", "AlarmName"

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        self.call("cloudwatch", "put_metric_alarm", self.named)
        self.physical_resource_id = self.name
        found = self.call("cloudwatch", "describe_alarms", {"AlarmNames": [self.name]})
        self.attributes = {"Arn": found["MetricAlarms"][0]["AlarmArn"]}

    def delete(self) -> None:  # noqa: D102
        self.call("cloudwatch", "delete_alarms", {"AlarmNames": [self.physical_resource_id]})


class CompositeAlarm(Resource):
    """A composite alarm."""

    type, name_property = "AWS::CloudWatch::CompositeAlarm", "AlarmName"

    def create(self) -> None:  # noqa: D102
        self.require("AlarmRule")
        self.call("cloudwatch", "put_composite_alarm", self.named)
        self.physical_resource_id = self.name
        found = self.call("cloudwatch", "describe_alarms", {"AlarmNames": [self.name]})
        self.attributes = {"Arn": found["CompositeAlarms"][0]["AlarmArn"]}

    def delete(self) -> None:  # noqa: D102
        self.call("cloudwatch", "delete_alarms", {"AlarmNames": [self.physical_resource_id]})


class LogGroup(Resource):
    """A log group; refused, as CloudWatch Logs does, where the policy of its key does not admit it."""

    type, name_property = "AWS::Logs::LogGroup", "LogGroupName"

    def create(self) -> None:  # noqa: D102
        head = self.only("LogGroupName", "KmsKeyId", "Tags")
        arn = f"arn:aws:logs:{self.place.region}:{self.place.account}:log-group:{self.name}"
        self._admit(arn)
        self.call("logs", "create_log_group", head)
        self.physical_resource_id = self.name
        self._retain()
        self.attributes = {"Arn": f"{arn}:*"}

    def _admit(self, arn: str) -> None:
        key, context = self.properties.get("KmsKeyId"), {"kms:EncryptionContext:aws:logs:arn": arn}
        service = f"logs.{self.place.region}.amazonaws.com"
        if key and not admits(self.place.api, key, "kms:Encrypt", service=service, context=context):
            raise ValueError(f"key {key} is not allowed to be used with {arn}: admit {service} in the key's policy")

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        if any(self.properties.get(key) != properties.get(key) for key in ("LogGroupName", "KmsKeyId")):
            super().update(properties)
            return
        self.properties = dict(properties)
        self._retain()

    def _retain(self) -> None:
        days, group = self.properties.get("RetentionInDays"), {"LogGroupName": self.physical_resource_id}
        if days is None:
            self.call("logs", "delete_retention_policy", group)
        else:
            self.call("logs", "put_retention_policy", {**group, "RetentionInDays": days})

    def delete(self) -> None:  # noqa: D102
        self.call("logs", "delete_log_group", {"LogGroupName": self.physical_resource_id})


class LogStream(Resource):
    """A log stream."""

    type, name_property = "AWS::Logs::LogStream", "LogStreamName"

    def create(self) -> None:  # noqa: D102
        self.call("logs", "create_log_stream", self.named)
        self.physical_resource_id = self.name

    def delete(self) -> None:  # noqa: D102
        stream = {"LogGroupName": self.properties["LogGroupName"], "LogStreamName": self.physical_resource_id}
        self.call("logs", "delete_log_stream", stream)


class MetricFilter(Resource):
    """A metric filter of a log group."""

    type, name_property = "AWS::Logs::MetricFilter", "FilterName"

    def create(self) -> None:  # noqa: D102
        self.call("logs", "put_metric_filter", self.named)
        self.physical_resource_id = self.name

    def delete(self) -> None:  # noqa: D102
        one = {"LogGroupName": self.properties["LogGroupName"], "FilterName": self.physical_resource_id}
        self.call("logs", "delete_metric_filter", one)


class SubscriptionFilter(Resource):
    """A subscription filter of a log group."""

    type, name_property = "AWS::Logs::SubscriptionFilter", "FilterName"

    def create(self) -> None:  # noqa: D102
        self.call("logs", "put_subscription_filter", self.named)
        self.physical_resource_id = self.name

    def delete(self) -> None:  # noqa: D102
        one = {"LogGroupName": self.properties["LogGroupName"], "FilterName": self.physical_resource_id}
        self.call("logs", "delete_subscription_filter", one)
