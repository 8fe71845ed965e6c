"""A network with EFA hosts comes and goes, and leaves nothing."""

from __future__ import annotations

from typing import Any

from tests.tandem.rehearsal.cloud.conftest import REGION, Deployer


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def network() -> dict[str, Any]:
    vpc = {"VpcId": ref("Vpc")}
    gateway = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": ref("Internet")}
    closed = {"CidrIp": "255.255.255.255/32", "IpProtocol": "icmp", "FromPort": 252, "ToPort": 86}
    group = {"Fn::GetAtt": ["Group", "GroupId"]}
    efa = {"DeviceIndex": 0, "NetworkCardIndex": 0, "InterfaceType": "efa", "Groups": [group]}
    endpoint = f"com.amazonaws.{REGION}"
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {**vpc, "CidrBlock": "10.0.0.0/24"}},
        "Internet": {"Type": "AWS::EC2::InternetGateway"},
        "Attached": {
            "Type": "AWS::EC2::VPCGatewayAttachment",
            "Properties": {**vpc, "InternetGatewayId": ref("Internet")},
        },
        "Table": {"Type": "AWS::EC2::RouteTable", "Properties": vpc},
        "Joined": {
            "Type": "AWS::EC2::SubnetRouteTableAssociation",
            "Properties": {"SubnetId": ref("Subnet"), "RouteTableId": ref("Table")},
        },
        "Route": {
            "Type": "AWS::EC2::Route",
            "DependsOn": "Attached",
            "Properties": {"RouteTableId": ref("Table"), **gateway},
        },
        "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
        "Nat": {
            "Type": "AWS::EC2::NatGateway",
            "Properties": {"SubnetId": ref("Subnet"), "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]}},
        },
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {"GroupDescription": "efa", **vpc, "SecurityGroupEgress": [closed]},
        },
        "In": {
            "Type": "AWS::EC2::SecurityGroupIngress",
            "Properties": {"GroupId": group, "IpProtocol": "-1", "SourceSecurityGroupId": group},
        },
        "Out": {
            "Type": "AWS::EC2::SecurityGroupEgress",
            "Properties": {"GroupId": group, "IpProtocol": "-1", "DestinationSecurityGroupId": group},
        },
        "S3": {
            "Type": "AWS::EC2::VPCEndpoint",
            "Properties": {**vpc, "ServiceName": f"{endpoint}.s3", "RouteTableIds": [ref("Table")]},
        },
        "Ecr": {
            "Type": "AWS::EC2::VPCEndpoint",
            "Properties": {
                **vpc,
                "ServiceName": f"{endpoint}.ecr.api",
                "VpcEndpointType": "Interface",
                "SubnetIds": [ref("Subnet")],
                "SecurityGroupIds": [group],
            },
        },
        "Placement": {"Type": "AWS::EC2::PlacementGroup", "Properties": {"Strategy": "cluster"}},
        "Reservation": {
            "Type": "AWS::EC2::CapacityReservation",
            "Properties": {
                "InstanceType": "trn2.48xlarge",
                "InstancePlatform": "Linux/UNIX",
                "AvailabilityZone": f"{REGION}a",
                "InstanceCount": 2,
            },
        },
        "Template": {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {
                "LaunchTemplateData": {
                    "InstanceType": "trn2.48xlarge",
                    "ImageId": "ami-12345678",
                    "Placement": {"GroupName": {"Fn::GetAtt": ["Placement", "GroupName"]}},
                    "NetworkInterfaces": [efa],
                }
            },
        },
        "Hosts": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "Properties": {
                "MinSize": "0",
                "MaxSize": "2",
                "DesiredCapacity": "2",
                "VPCZoneIdentifier": [ref("Subnet")],
                "LaunchTemplate": {
                    "LaunchTemplateId": ref("Template"),
                    "Version": {"Fn::GetAtt": ["Template", "LatestVersionNumber"]},
                },
            },
        },
    }


def test_network_comes_and_goes(deployer: Deployer) -> None:
    ec2 = deployer.client("ec2")
    before = _held(ec2)
    ids = deployer.round_trip("network", network())
    group = ec2.describe_security_groups(GroupIds=[ids["Group"]])["SecurityGroups"][0]
    egress = [(one["IpProtocol"], bool(one["UserIdGroupPairs"])) for one in group["IpPermissionsEgress"]]
    assert sorted(egress) == [("-1", True), ("icmp", False)]
    assert ec2.describe_placement_groups(GroupNames=[ids["Placement"]])["PlacementGroups"][0]["Strategy"] == "cluster"
    reservations = ec2.describe_capacity_reservations()["CapacityReservations"]
    assert [one["TotalInstanceCount"] for one in reservations] == [2]
    hosts = [one for row in ec2.describe_instances()["Reservations"] for one in row["Instances"]]
    assert [one["InstanceType"] for one in hosts] == ["trn2.48xlarge"] * 2
    assert deployer.delete("network") == "DELETE_COMPLETE", deployer.stack("network")
    assert _held(ec2) == before


def test_security_group_changes_in_place(deployer: Deployer) -> None:
    def resources(port: int) -> dict[str, Any]:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "10.0.0.0/8"}
        properties = {"GroupDescription": "g", "SecurityGroupIngress": [rule]}
        return {"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}}

    group = deployer.round_trip("group", resources(80))["Group"]
    deployer.update("group", resources(443))
    found = deployer.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert [rule["FromPort"] for rule in found["IpPermissions"]] == [443]
    deployer.delete("group")


def test_unknown_placement_group_fails(deployer: Deployer) -> None:
    data = {"LaunchTemplateData": {"Placement": {"GroupName": "nowhere"}}}
    stack = deployer.create("lost", {"Template": {"Type": "AWS::EC2::LaunchTemplate", "Properties": data}})
    assert "placement group 'nowhere' does not exist" in stack["StackStatusReason"]
    deployer.delete("lost")


def _held(ec2: Any) -> dict[str, int]:
    """Count what an account holds; what AWS itself keeps for a while after its end is left out."""
    alive = [one for row in ec2.describe_instances()["Reservations"] for one in row["Instances"]]
    return {
        "vpcs": len(ec2.describe_vpcs()["Vpcs"]),
        "subnets": len(ec2.describe_subnets()["Subnets"]),
        "groups": len(ec2.describe_security_groups()["SecurityGroups"]),
        "tables": len(ec2.describe_route_tables()["RouteTables"]),
        "gateways": len(ec2.describe_internet_gateways()["InternetGateways"]),
        "interfaces": len(ec2.describe_network_interfaces()["NetworkInterfaces"]),
        "addresses": len(ec2.describe_addresses()["Addresses"]),
        "endpoints": len([e for e in ec2.describe_vpc_endpoints()["VpcEndpoints"] if e["State"] != "deleted"]),
        "nat": len([n for n in ec2.describe_nat_gateways()["NatGateways"] if n["State"] != "deleted"]),
        "instances": len([one for one in alive if one["State"]["Name"] != "terminated"]),
        "templates": len(ec2.describe_launch_templates()["LaunchTemplates"]),
        "placement": len(ec2.describe_placement_groups()["PlacementGroups"]),
        "reservations": len(ec2.describe_capacity_reservations()["CapacityReservations"]),
    }
