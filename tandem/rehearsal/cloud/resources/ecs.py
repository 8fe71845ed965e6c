"""ECS: clusters, capacity providers, task definitions and services, as the API itself checks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.ecs.models import ecs_backends

from tandem.rehearsal.cloud.resource import Resource


class Cluster(Resource):
    """A cluster."""

    type, name_property = "AWS::ECS::Cluster", "ClusterName"

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        properties = self.without("ClusterSettings")
        settings = {"Settings": self.properties["ClusterSettings"]} if "ClusterSettings" in self.properties else {}
        cluster = self.call("ecs", "create_cluster", {**properties, **settings})["cluster"]
        self.physical_resource_id, self.attributes = self.name, {"Arn": cluster["clusterArn"]}

    def delete(self) -> None:  # noqa: D102
        self.call("ecs", "delete_cluster", {"Cluster": self.physical_resource_id})


class CapacityProvider(Resource):
    """A capacity provider, most often of an auto scaling group."""

    type, name_property = "AWS::ECS::CapacityProvider", "Name"

    def create(self) -> None:  # noqa: D102
        self.call("ecs", "create_capacity_provider", self.named)
        self.physical_resource_id = self.name

    def delete(self) -> None:  # noqa: D102
        self.call("ecs", "delete_capacity_provider", {"CapacityProvider": self.physical_resource_id})


class ClusterCapacityProviderAssociations(Resource):
    """The capacity providers that a cluster may use."""

    type = "AWS::ECS::ClusterCapacityProviderAssociations"

    def create(self) -> None:  # noqa: D102
        self.call("ecs", "put_cluster_capacity_providers", self.properties)
        self.physical_resource_id = self.properties["Cluster"]

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        self.properties = dict(properties)
        self.create()

    def delete(self) -> None:  # noqa: D102
        none: dict[str, Any] = {"CapacityProviders": [], "DefaultCapacityProviderStrategy": []}
        self.call("ecs", "put_cluster_capacity_providers", {"Cluster": self.physical_resource_id, **none})


class TaskDefinition(Resource):
    """A task definition; every change registers a new revision."""

    type, name_property = "AWS::ECS::TaskDefinition", "Family"

    def create(self) -> None:  # noqa: D102
        self.require("ContainerDefinitions")
        registered = self.call("ecs", "register_task_definition", self.named)["taskDefinition"]
        self.physical_resource_id = self.attributes["TaskDefinitionArn"] = registered["taskDefinitionArn"]

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        self.properties = dict(properties)
        self._old = self.physical_resource_id
        self.create()

    _old: str | None = None

    def clean_up(self) -> None:  # noqa: D102
        if self._old:
            self.call("ecs", "deregister_task_definition", {"TaskDefinition": self._old})
            self._old = None

    def delete(self) -> None:  # noqa: D102
        self.call("ecs", "deregister_task_definition", {"TaskDefinition": self.physical_resource_id})


class Service(Resource):
    """A service; what moto's create_service drops is put on its model, so that DescribeServices shows it."""

    type, name_property = "AWS::ECS::Service", "ServiceName"

    def create(self) -> None:  # noqa: D102
        # moto takes a count that is left out for none; a daemon has none, it runs on what hosts there are
        count = {"DesiredCount": 0 if self.properties.get("SchedulingStrategy") == "DAEMON" else 1}
        service = self.call("ecs", "create_service", {**count, **self.named})["service"]
        self.physical_resource_id = service["serviceArn"]
        self.attributes = {"Name": service["serviceName"], "ServiceArn": service["serviceArn"]}
        self._keep(service["clusterArn"])

    def _keep(self, cluster: str) -> None:
        """Keep how tasks get their hosts, and how they are replaced, which moto takes and drops."""
        backend = ecs_backends[self.place.account][self.place.region]
        found, _ = backend.describe_services(cluster, [self.attributes["Name"]])
        model: Any = found[0]
        told = self.properties.get("DeploymentConfiguration", {})
        model.deployment_configuration = {
            name: int(told[key])
            for key in ("MinimumHealthyPercent", "MaximumPercent")
            if (name := key[0].lower() + key[1:]) and key in told
        }
        model.capacity_provider_strategy = [
            {"capacityProvider": entry["CapacityProvider"], "weight": int(entry.get("Weight", 0))}
            for entry in self.properties.get("CapacityProviderStrategy", [])
        ]
        model.placement_constraints = [
            {"type": entry["Type"], "expression": entry.get("Expression", "")}
            for entry in self.properties.get("PlacementConstraints", [])
        ]

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        fixed = (
            "ServiceName",
            "Cluster",
            "LaunchType",
            "SchedulingStrategy",
            "LoadBalancers",
            "ServiceRegistries",
            "NetworkConfiguration",
        )
        if any(self.properties.get(key) != properties.get(key) for key in fixed):
            super().update(properties)
            return
        self.properties = dict(properties)
        changes = {key: properties[key] for key in ("Cluster", "TaskDefinition", "DesiredCount") if key in properties}
        service = self.call("ecs", "update_service", {"Service": self.attributes["Name"], **changes})["service"]
        self._keep(service["clusterArn"])

    def delete(self) -> None:  # noqa: D102
        service = {"Cluster": self.properties.get("Cluster", "default"), "Service": self.attributes["Name"]}
        self.call("ecs", "delete_service", {**service, "Force": True})
