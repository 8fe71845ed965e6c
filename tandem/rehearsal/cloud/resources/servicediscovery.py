"""Cloud Map: namespaces and services."""

from __future__ import annotations

from typing import ClassVar

from tandem.rehearsal.cloud.resource import Resource


class _Namespace(Resource):
    """A namespace, made by an operation that ends at once here."""

    name_property = "Name"
    operation: ClassVar[str]

    def create(self) -> None:
        self.require("Name")
        made = self.call("servicediscovery", self.operation, self.named)["OperationId"]
        done = self.call("servicediscovery", "get_operation", {"OperationId": made})["Operation"]
        namespace = done["Targets"]["NAMESPACE"]
        found = self.call("servicediscovery", "get_namespace", {"Id": namespace})["Namespace"]
        self.physical_resource_id = namespace
        self.attributes = {"Id": namespace, "Arn": found["Arn"]}
        zone = found.get("Properties", {}).get("DnsProperties", {}).get("HostedZoneId")
        if zone:
            self.attributes["HostedZoneId"] = zone

    def delete(self) -> None:
        self.call("servicediscovery", "delete_namespace", {"Id": self.physical_resource_id})


class PrivateDnsNamespace(_Namespace):
    """A namespace in a VPC's DNS."""

    type, operation = "AWS::ServiceDiscovery::PrivateDnsNamespace", "create_private_dns_namespace"


class PublicDnsNamespace(_Namespace):
    """A namespace in public DNS."""

    type, operation = "AWS::ServiceDiscovery::PublicDnsNamespace", "create_public_dns_namespace"


class HttpNamespace(_Namespace):
    """A namespace without DNS."""

    type, operation = "AWS::ServiceDiscovery::HttpNamespace", "create_http_namespace"


class Service(Resource):
    """A service, under which instances register."""

    type, name_property = "AWS::ServiceDiscovery::Service", "Name"
    name_limit = 63

    def create(self) -> None:  # noqa: D102
        within = {"NamespaceId": self.properties.get("DnsConfig", {}).get("NamespaceId")}  # either place will do
        service = {**({} if within["NamespaceId"] is None else within), **self.without("ServiceAttributes")}
        made = self.call("servicediscovery", "create_service", service)["Service"]
        self.physical_resource_id = made["Id"]
        self.attributes = {"Id": made["Id"], "Arn": made["Arn"], "Name": self.name}

    def delete(self) -> None:  # noqa: D102
        self.call("servicediscovery", "delete_service", {"Id": self.physical_resource_id})
