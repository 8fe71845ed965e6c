"""Load balancers, web ACLs, certificates and DNS."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

from tandem.rehearsal.cloud.resource import MotoResource, Resource


class _Balancing(MotoResource):
    """A part of load balancing that moto creates, deleted by one call that takes its ARN."""

    operation: ClassVar[str]
    parameter: ClassVar[str]

    def delete(self) -> None:
        self.call("elbv2", self.operation, {self.parameter: self.physical_resource_id})


class LoadBalancer(_Balancing):
    """A load balancer; its attributes are put on it, which moto's model does not do."""

    type = "AWS::ElasticLoadBalancingV2::LoadBalancer"
    operation, parameter = "delete_load_balancer", "LoadBalancerArn"

    def create(self) -> None:  # noqa: D102
        super().create()
        attributes = self.properties.get("LoadBalancerAttributes")
        if attributes:
            settings = {"LoadBalancerArn": self.physical_resource_id, "Attributes": attributes}
            self.call("elbv2", "modify_load_balancer_attributes", settings)
        self.attributes["LoadBalancerFullName"] = str(self.physical_resource_id).partition(":loadbalancer/")[2]


class TargetGroup(_Balancing):
    """A target group."""

    type = "AWS::ElasticLoadBalancingV2::TargetGroup"
    operation, parameter = "delete_target_group", "TargetGroupArn"

    def create(self) -> None:  # noqa: D102
        super().create()
        arn = str(self.physical_resource_id)
        self.attributes["TargetGroupFullName"] = "targetgroup/" + arn.partition(":targetgroup/")[2]
        attributes = self.properties.get("TargetGroupAttributes")
        if attributes:
            self.call("elbv2", "modify_target_group_attributes", {"TargetGroupArn": arn, "Attributes": attributes})


class Listener(Resource):
    """A listener."""

    type = "AWS::ElasticLoadBalancingV2::Listener"

    def create(self) -> None:  # noqa: D102
        listener = self.without("ListenerAttributes")
        made = self.call("elbv2", "create_listener", listener)["Listeners"][0]
        self.physical_resource_id = self.attributes["ListenerArn"] = made["ListenerArn"]

    def update(self, properties: Mapping[str, Any]) -> None:  # noqa: D102
        if properties["LoadBalancerArn"] != self.properties["LoadBalancerArn"]:
            super().update(properties)
            return
        self.properties = copy.deepcopy(dict(properties))
        changed = self.without("ListenerAttributes", "LoadBalancerArn", "Tags")
        self.call("elbv2", "modify_listener", changed, ListenerArn=self.physical_resource_id)
        if tags := self.only("Tags"):
            self.call("elbv2", "add_tags", tags, ResourceArns=[self.physical_resource_id])

    def delete(self) -> None:  # noqa: D102
        self.call("elbv2", "delete_listener", {"ListenerArn": self.physical_resource_id})


class ListenerRule(_Balancing):
    """A rule of a listener."""

    type = "AWS::ElasticLoadBalancingV2::ListenerRule"
    operation, parameter = "delete_rule", "RuleArn"


class WebAcl(Resource):
    """A web ACL."""

    type, name_property = "AWS::WAFv2::WebACL", "Name"

    def create(self) -> None:  # noqa: D102
        made = self.call("wafv2", "create_web_acl", self.named)["Summary"]
        self.physical_resource_id = f"{made['Name']}|{made['Id']}|{self.properties['Scope']}"
        self.attributes = {"Arn": made["ARN"], "Id": made["Id"]}

    def delete(self) -> None:  # noqa: D102
        one: dict[str, Any] = {"Name": self.name, "Id": self.attributes["Id"], "Scope": self.properties["Scope"]}
        token = self.call("wafv2", "get_web_acl", one)["LockToken"]
        self.call("wafv2", "delete_web_acl", {**one, "LockToken": token})


class WebAclAssociation(Resource):
    """The web ACL in front of a load balancer."""

    type = "AWS::WAFv2::WebACLAssociation"

    def create(self) -> None:  # noqa: D102
        self.call("wafv2", "associate_web_acl", self.properties)
        self.physical_resource_id = self.generated_name

    def delete(self) -> None:  # noqa: D102
        self.call("wafv2", "disassociate_web_acl", {"ResourceArn": self.properties["ResourceArn"]})


class Certificate(Resource):
    """A certificate, issued at once: nobody outside could validate its domain."""

    type = "AWS::CertificateManager::Certificate"

    def create(self) -> None:  # noqa: D102
        self.require("DomainName")
        request = self.only("DomainName", "SubjectAlternativeNames", "ValidationMethod", "Tags", "KeyAlgorithm")
        self.physical_resource_id = self.call("acm", "request_certificate", request)["CertificateArn"]

    def delete(self) -> None:  # noqa: D102
        self.call("acm", "delete_certificate", {"CertificateArn": self.physical_resource_id})


class HostedZone(MotoResource):
    """A hosted zone."""

    type = "AWS::Route53::HostedZone"

    def delete(self) -> None:  # noqa: D102
        self.call("route53", "delete_hosted_zone", {"Id": self.physical_resource_id})
