"""EC2: what moto's models cannot delete, rules both ways, and launch templates checked as EC2 would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from moto.ec2.models import ec2_backends

from tandem.rehearsal.cloud.key_policy import admits
from tandem.rehearsal.cloud.launch_template import refusals
from tandem.rehearsal.cloud.resource import MotoResource, Resource

_RULE_PEERS = {
    "CidrIp": ("IpRanges", "CidrIp"),
    "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "SourceSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    "DestinationSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    "SourcePrefixListId": ("PrefixListIds", "PrefixListId"),
    "DestinationPrefixListId": ("PrefixListIds", "PrefixListId"),
}


def permission(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return CloudFormation's flat rule as the API's permission; raise ``ValueError`` if it names no peer."""
    peers = {
        field: [{name: rule[key], **({"Description": rule["Description"]} if "Description" in rule else {})}]
        for key, (field, name) in _RULE_PEERS.items()
        if key in rule
    }
    if not peers:
        raise ValueError(f"a security group rule names no peer; allowed: {', '.join(_RULE_PEERS)}")
    ports = {key: rule[key] for key in ("FromPort", "ToPort") if key in rule}
    return {"IpProtocol": rule["IpProtocol"], **ports, **peers}


class PlacementGroup(Resource):
    """A placement group; its name cannot be chosen in CloudFormation."""

    type = "AWS::EC2::PlacementGroup"

    def create(self) -> None:  # noqa: D102 - said by Resource, here and below
        self.call("ec2", "create_placement_group", self.properties_for_api())
        self.physical_resource_id = self.attributes["GroupName"] = self.generated_name

    def properties_for_api(self) -> dict[str, Any]:
        """Return the API's parameters."""
        tags = {"TagSpecifications": [{"ResourceType": "placement-group", "Tags": self.properties.get("Tags", [])}]}
        return {"GroupName": self.generated_name, **self.without("Tags"), **(tags if "Tags" in self.properties else {})}

    def delete(self) -> None:  # noqa: D102
        self.call("ec2", "delete_placement_group", {"GroupName": self.physical_resource_id})


class CapacityReservation(Resource):
    """An on-demand capacity reservation."""

    type = "AWS::EC2::CapacityReservation"

    def create(self) -> None:  # noqa: D102
        answer = self.call("ec2", "create_capacity_reservation", self.properties)["CapacityReservation"]
        self.physical_resource_id = self.attributes["Id"] = answer["CapacityReservationId"]
        self.attributes["AvailabilityZone"] = answer["AvailabilityZone"]

    def delete(self) -> None:  # noqa: D102
        reservation = {"CapacityReservationId": self.physical_resource_id}
        self.call("ec2", "cancel_capacity_reservation", reservation)


class SecurityGroup(Resource):
    """A security group; with egress rules of its own, EC2's default egress rule is taken away."""

    type = "AWS::EC2::SecurityGroup"

    def create(self) -> None:  # noqa: D102
        self.require("GroupDescription")
        tags = [{"ResourceType": "security-group", "Tags": self.properties.get("Tags", [])}]
        head = {"GroupName": self.properties.get("GroupName", self.generated_name)}
        head |= {"Description": self.properties["GroupDescription"]}
        head |= {"VpcId": self.properties["VpcId"]} if "VpcId" in self.properties else {}
        head |= {"TagSpecifications": tags} if self.properties.get("Tags") else {}
        group = self.call("ec2", "create_security_group", head)["GroupId"]
        self.physical_resource_id = group
        found = self.call("ec2", "describe_security_groups", {"GroupIds": [group]})["SecurityGroups"][0]
        self.attributes = {"GroupId": group, "Id": group, "VpcId": found["VpcId"]}
        if "SecurityGroupEgress" in self.properties:
            self._apply("revoke", "egress", found["IpPermissionsEgress"])
        self._inline("authorize")

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        fixed = ("GroupDescription", "GroupName", "VpcId")
        if any(self.properties.get(key) != properties.get(key) for key in fixed):
            super().update(properties)
            return
        self._inline("revoke")
        self.properties = dict(properties)
        self._inline("authorize")

    def _inline(self, verb: str) -> None:
        for way in ("Ingress", "Egress"):
            rules = self.properties.get(f"SecurityGroup{way}", [])
            self._apply(verb, way.lower(), [permission(rule) for rule in rules])

    def _apply(self, verb: str, way: str, permissions: list[dict[str, Any]]) -> None:
        if permissions:
            group = {"GroupId": self.physical_resource_id, "IpPermissions": permissions}
            self.call("ec2", f"{verb}_security_group_{way}", group)

    def delete(self) -> None:  # noqa: D102
        self.call("ec2", "delete_security_group", {"GroupId": self.physical_resource_id})


class _Rule(Resource):
    """A rule of a security group, declared apart from it."""

    way: ClassVar[str]

    def _apply(self, verb: str) -> None:
        group = {"GroupId": self.properties["GroupId"], "IpPermissions": [permission(self.properties)]}
        self.call("ec2", f"{verb}_security_group_{self.way}", group)

    def create(self) -> None:
        self.require("GroupId", "IpProtocol")
        self._apply("authorize")
        self.physical_resource_id = self.attributes["Id"] = self.generated_name

    def delete(self) -> None:
        self._apply("revoke")


class SecurityGroupIngress(_Rule):
    """An inbound rule."""

    type, way = "AWS::EC2::SecurityGroupIngress", "ingress"


class SecurityGroupEgress(_Rule):
    """An outbound rule."""

    type, way = "AWS::EC2::SecurityGroupEgress", "egress"


class LaunchTemplate(MotoResource):
    """A launch template, refused where a launch from it would be."""

    type = "AWS::EC2::LaunchTemplate"

    def _check(self, properties: Mapping[str, Any]) -> None:
        groups = self.call("ec2", "describe_placement_groups", {})["PlacementGroups"]
        data = properties["LaunchTemplateData"]
        found = [*refusals(data, {group["GroupName"] for group in groups}), *self._closed_keys(data)]
        if found:
            raise ValueError("; ".join(found))

    def _closed_keys(self, data: Mapping[str, Any]) -> list[str]:
        """Say which volumes' keys Auto Scaling may not use: EC2 would end such a host as it starts."""
        role = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
        caller = f"arn:aws:iam::{self.place.account}:role/{role}"
        context = {"aws:PrincipalArn": caller, "kms:GrantIsForAWSResource": "true"}
        keys = [each["Ebs"]["KmsKeyId"] for each in data.get("BlockDeviceMappings", []) if "KmsKeyId" in each["Ebs"]]
        return [
            f"the policy of key {key} does not admit {caller}, which starts the hosts"
            for key in keys
            if not admits(self.place.api, key, "kms:CreateGrant", context=context)
        ]

    def create(self) -> None:  # noqa: D102
        self._check(self.properties)
        super().create()

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        self._check(properties)
        super().update(properties)


class _Deleted(MotoResource):
    """A resource that moto creates, deleted by one call that takes its id."""

    operation: ClassVar[str]
    parameter: ClassVar[str]

    def delete(self) -> None:
        self.call("ec2", self.operation, {self.parameter: self.physical_resource_id})


class InternetGateway(_Deleted):
    """An internet gateway."""

    type, operation, parameter = "AWS::EC2::InternetGateway", "delete_internet_gateway", "InternetGatewayId"


class NatGateway(_Deleted):
    """A NAT gateway."""

    type, operation, parameter = "AWS::EC2::NatGateway", "delete_nat_gateway", "NatGatewayId"


class RouteTable(_Deleted):
    """A route table."""

    type, operation, parameter = "AWS::EC2::RouteTable", "delete_route_table", "RouteTableId"


class NetworkInterface(_Deleted):
    """A network interface."""

    type, operation, parameter = "AWS::EC2::NetworkInterface", "delete_network_interface", "NetworkInterfaceId"


class VpcEndpoint(Resource):
    """A VPC endpoint; a gateway unless the template says otherwise."""

    type = "AWS::EC2::VPCEndpoint"

    def create(self) -> None:  # noqa: D102
        tags = [{"ResourceType": "vpc-endpoint", "Tags": self.properties.get("Tags", [])}]
        head = {"VpcEndpointType": "Gateway", **self.without("Tags")}
        head |= {"TagSpecifications": tags} if self.properties.get("Tags") else {}
        made = self.call("ec2", "create_vpc_endpoint", head)["VpcEndpoint"]
        self.physical_resource_id = self.attributes["Id"] = made["VpcEndpointId"]
        names = [f"{entry['HostedZoneId']}:{entry['DnsName']}" for entry in made.get("DnsEntries", [])]
        self.attributes |= {"DnsEntries": names, "NetworkInterfaceIds": made.get("NetworkInterfaceIds", [])}

    def delete(self) -> None:  # noqa: D102
        self.call("ec2", "delete_vpc_endpoints", {"VpcEndpointIds": [self.physical_resource_id]})


class FlowLog(MotoResource):
    """A flow log."""

    type = "AWS::EC2::FlowLog"

    def delete(self) -> None:  # noqa: D102
        self.call("ec2", "delete_flow_logs", {"FlowLogIds": [self.physical_resource_id]})


class Eip(MotoResource):
    """An elastic IP address."""

    type = "AWS::EC2::EIP"

    def delete(self) -> None:  # noqa: D102
        self.call("ec2", "release_address", {"AllocationId": self.get_cfn_attribute("AllocationId")})


class Route(MotoResource):
    """A route."""

    type = "AWS::EC2::Route"

    def delete(self) -> None:  # noqa: D102
        route = self.only("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock")
        self.call("ec2", "delete_route", route)


class SubnetRouteTableAssociation(Resource):
    """A subnet's route table."""

    type = "AWS::EC2::SubnetRouteTableAssociation"

    def create(self) -> None:  # noqa: D102
        made = self.call("ec2", "associate_route_table", self.properties)
        self.physical_resource_id = self.attributes["Id"] = made["AssociationId"]

    def delete(self) -> None:  # noqa: D102
        self.call("ec2", "disassociate_route_table", {"AssociationId": self.physical_resource_id})


class VpcGatewayAttachment(MotoResource):
    """The attachment of an internet gateway."""

    type = "AWS::EC2::VPCGatewayAttachment"

    def delete(self) -> None:  # noqa: D102
        self.call("ec2", "detach_internet_gateway", self.properties)


class Subnet(MotoResource):
    """A subnet; the interfaces that AWS's own services and ended instances left in it go with it."""

    type = "AWS::EC2::Subnet"

    def delete(self) -> None:  # noqa: D102
        mine = [{"Name": "subnet-id", "Values": [self.physical_resource_id]}]
        for interface in self.call("ec2", "describe_network_interfaces", {"Filters": mine})["NetworkInterfaces"]:
            if "InstanceId" in interface.get("Attachment", {}):
                self._refuse_if_running(interface["Attachment"]["InstanceId"])
                # moto keeps the interfaces of ended instances, and no call deletes a primary one
                ec2_backends[self.place.account][self.place.region].enis.pop(interface["NetworkInterfaceId"])
            else:
                self.call("ec2", "delete_network_interface", {"NetworkInterfaceId": interface["NetworkInterfaceId"]})
        super().delete()

    def _refuse_if_running(self, instance: str) -> None:
        found = self.call("ec2", "describe_instances", {"InstanceIds": [instance]})["Reservations"][0]["Instances"][0]
        if found["State"]["Name"] != "terminated":
            raise ValueError(f"subnet {self.physical_resource_id} still has the running instance {instance}")
