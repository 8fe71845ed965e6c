"""Auto scaling: policies, hooks and schedules of groups, and targets and policies of services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.rehearsal.cloud.resource import MotoResource, Resource


class AutoScalingGroup(MotoResource):
    """An auto scaling group; sizes change in place, all else makes it anew, and its instances end with it."""

    type = "AWS::AutoScaling::AutoScalingGroup"

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102 - said by Resource, here and below
        sizes = ("MinSize", "MaxSize", "DesiredCapacity")
        same = {key: value for key, value in self.properties.items() if key not in sizes}
        if same != {key: value for key, value in properties.items() if key not in sizes}:
            super().update(properties)
            return
        self.properties = dict(properties)
        change = {key: properties[key] for key in sizes if key in properties}
        group = {"AutoScalingGroupName": self.physical_resource_id}
        self.call("autoscaling", "update_auto_scaling_group", {**group, **change})

    def delete(self) -> None:  # noqa: D102
        group = {"AutoScalingGroupName": self.physical_resource_id, "ForceDelete": True}
        self.call("autoscaling", "delete_auto_scaling_group", group)


class GroupScalingPolicy(Resource):
    """A scaling policy of a group."""

    type = "AWS::AutoScaling::ScalingPolicy"

    def create(self) -> None:  # noqa: D102
        policy = {"PolicyName": self.generated_name, **self.properties}
        self.call("autoscaling", "put_scaling_policy", policy)  # moto's answer lacks the ARN
        names = {"AutoScalingGroupName": self.properties["AutoScalingGroupName"], "PolicyNames": [self.generated_name]}
        made = self.call("autoscaling", "describe_policies", names)["ScalingPolicies"][0]
        self.physical_resource_id = self.attributes["Arn"] = made["PolicyARN"]
        self.attributes["PolicyName"] = self.generated_name

    def delete(self) -> None:  # noqa: D102
        group = {"AutoScalingGroupName": self.properties["AutoScalingGroupName"]}
        self.call("autoscaling", "delete_policy", {**group, "PolicyName": self.generated_name})


class LifecycleHook(Resource):
    """A lifecycle hook of a group."""

    type, name_property = "AWS::AutoScaling::LifecycleHook", "LifecycleHookName"

    def create(self) -> None:  # noqa: D102
        self.call("autoscaling", "put_lifecycle_hook", self.named)
        self.physical_resource_id = self.name

    def delete(self) -> None:  # noqa: D102
        group = {"AutoScalingGroupName": self.properties["AutoScalingGroupName"]}
        self.call("autoscaling", "delete_lifecycle_hook", {**group, "LifecycleHookName": self.physical_resource_id})


class ScheduledAction(Resource):
    """A scheduled action of a group."""

    type = "AWS::AutoScaling::ScheduledAction"

    def create(self) -> None:  # noqa: D102
        action = {**self.properties, "ScheduledActionName": self.generated_name}
        self.call("autoscaling", "put_scheduled_update_group_action", action)
        self.physical_resource_id = self.attributes["ScheduledActionName"] = self.generated_name

    def delete(self) -> None:  # noqa: D102
        group = {"AutoScalingGroupName": self.properties["AutoScalingGroupName"]}
        action = {**group, "ScheduledActionName": self.physical_resource_id}
        self.call("autoscaling", "delete_scheduled_action", action)


class ScalableTarget(Resource):
    """What Application Auto Scaling may scale."""

    type = "AWS::ApplicationAutoScaling::ScalableTarget"

    def create(self) -> None:  # noqa: D102
        self.call("application-autoscaling", "register_scalable_target", self.without("ScheduledActions"))
        if self.properties["ServiceNamespace"] == "ecs":
            self._bring_within_bounds()
        keys = ("ResourceId", "ScalableDimension", "ServiceNamespace")
        self.physical_resource_id = self.attributes["Id"] = "|".join(str(self.properties[key]) for key in keys)

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        keys = ("ResourceId", "ScalableDimension", "ServiceNamespace")
        if any(self.properties[key] != properties[key] for key in keys):
            super().update(properties)
            return
        self.properties = dict(properties)
        self.create()

    def delete(self) -> None:  # noqa: D102
        keys = ("ResourceId", "ScalableDimension", "ServiceNamespace")
        target = {key: self.properties[key] for key in keys}
        self.call("application-autoscaling", "deregister_scalable_target", target)

    def _bring_within_bounds(self) -> None:
        """Change the service's count to one within the bounds, as RegisterScalableTarget does and moto does not."""
        _, cluster, service = self.properties["ResourceId"].split("/")
        named = {"Cluster": cluster, "Services": [service]}
        count = self.call("ecs", "describe_services", named)["services"][0]["desiredCount"]
        within = min(max(count, int(self.properties["MinCapacity"])), int(self.properties["MaxCapacity"]))
        if within != count:
            self.call("ecs", "update_service", {"Cluster": cluster, "Service": service, "DesiredCount": within})


class ScalingPolicy(Resource):
    """A scaling policy of a scalable target, named by its id or by its three parts."""

    type, name_property = "AWS::ApplicationAutoScaling::ScalingPolicy", "PolicyName"

    @property
    def target(self) -> dict[str, str]:
        """Return the three parts that name the scalable target."""
        keys = ("ResourceId", "ScalableDimension", "ServiceNamespace")
        if "ScalingTargetId" in self.properties:
            return dict(zip(keys, self.properties["ScalingTargetId"].split("|"), strict=True))
        return {key: self.properties[key] for key in keys}

    def create(self) -> None:  # noqa: D102
        policy = {**self.without("ScalingTargetId"), **self.target}
        made = self.call("application-autoscaling", "put_scaling_policy", policy)
        self.physical_resource_id = self.attributes["Arn"] = made["PolicyARN"]

    def delete(self) -> None:  # noqa: D102
        self.call("application-autoscaling", "delete_scaling_policy", {"PolicyName": self.name, **self.target})
