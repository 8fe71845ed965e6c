"""Parameters, schedules, and the resource that CDK adds to every stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.resource import Resource


class CdkMetadata(Resource):
    """CDK's note of which constructs a stack uses; it makes nothing."""

    type = "AWS::CDK::Metadata"

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        self.physical_resource_id = self.generated_name

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        self.properties = dict(properties)

    def delete(self) -> None:  # noqa: D102
        pass


class Parameter(Resource):
    """An SSM parameter."""

    type, name_property = "AWS::SSM::Parameter", "Name"

    def create(self) -> None:  # noqa: D102
        self.require("Type", "Value")
        self.call("ssm", "put_parameter", self.named)
        self.physical_resource_id = self.name
        self.attributes = {"Type": self.properties["Type"], "Value": self.properties["Value"]}

    def delete(self) -> None:  # noqa: D102
        self.call("ssm", "delete_parameter", {"Name": self.physical_resource_id})


class Schedule(Resource):
    """A schedule of EventBridge Scheduler."""

    type, name_property = "AWS::Scheduler::Schedule", "Name"

    def create(self) -> None:  # noqa: D102
        made = self.call("scheduler", "create_schedule", self.named)
        self.physical_resource_id, self.attributes = self.name, {"Arn": made["ScheduleArn"]}

    def delete(self) -> None:  # noqa: D102
        group = {"GroupName": self.properties["GroupName"]} if "GroupName" in self.properties else {}
        self.call("scheduler", "delete_schedule", {"Name": self.physical_resource_id, **group})


class ScheduleGroup(Resource):
    """A group of schedules."""

    type, name_property = "AWS::Scheduler::ScheduleGroup", "Name"

    def create(self) -> None:  # noqa: D102
        made = self.call("scheduler", "create_schedule_group", self.named)
        self.physical_resource_id, self.attributes = self.name, {"Arn": made["ScheduleGroupArn"]}

    def delete(self) -> None:  # noqa: D102
        self.call("scheduler", "delete_schedule_group", {"Name": self.physical_resource_id})
