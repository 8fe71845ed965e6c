"""Count in templates what is charged for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tandem.assembly import Template


@dataclass(frozen=True, slots=True)
class Quantity:
    """Ask for ``count`` of an item of the price table; ``None`` where it depends on use."""

    item: str
    count: float | None
    note: str = ""


Properties = Mapping[str, Any]
Counter = Callable[[Properties, Template], Iterator[Quantity]]


def quantities(templates: Iterable[Template], without_standing_charge: frozenset[str]) -> list[Quantity]:
    """Return how many of each item the templates ask for; a type that nothing here knows is an item of its own."""
    found: dict[str, Quantity] = {}
    for template in templates:
        for body in template.get("Resources", {}).values():
            kind, properties = body["Type"], body.get("Properties", {})
            # a custom resource is a call of a function that the template holds as well
            if kind in without_standing_charge or kind.startswith("Custom::"):
                continue
            counter = _COUNTERS.get(kind)
            for each in counter(properties, template) if counter else [Quantity(kind, 1)]:
                found[each.item] = _sum(found[each.item], each) if each.item in found else each
    return list(found.values())


def _sum(one: Quantity, other: Quantity) -> Quantity:
    count = None if one.count is None or other.count is None else one.count + other.count
    return Quantity(one.item, count, one.note or other.note)


def _hosts(properties: Properties, template: Template) -> Iterator[Quantity]:
    count = int(properties.get("DesiredCapacity") or properties["MinSize"])
    most = int(properties["MaxSize"])
    data = _referred(_launch_template(properties), template).get("LaunchTemplateData", {})
    market = data.get("InstanceMarketOptions", {}).get("MarketType", "").replace("-", " ")
    item = f"{data.get('InstanceType', 'instance of unknown type')} {market}".strip()
    yield Quantity(item, count, f"a group may grow to {most}" if most > count else "")
    for mapping in data.get("BlockDeviceMappings", []):
        volume = mapping.get("Ebs", {})
        yield Quantity(f"{volume.get('VolumeType', 'gp2')} volume", count * volume.get("VolumeSize", 0))


def _launch_template(group: Properties) -> Any:
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
    return (group.get("LaunchTemplate") or mixed or {}).get("LaunchTemplateId")


def _tasks(properties: Properties, template: Template) -> Iterator[Quantity]:
    """Count what Fargate bills; tasks on hosts of our own come with the host."""
    if properties.get("LaunchType") == "FARGATE":
        task, count = _referred(properties["TaskDefinition"], template), properties.get("DesiredCount", 1)
        yield Quantity("Fargate vCPU", count * int(task["Cpu"]) / 1024)
        yield Quantity("Fargate memory", count * int(task["Memory"]) / 1024)


def _referred(reference: Any, template: Template) -> Properties:
    """Return the properties of the resource of the same template that ``reference`` names, if it names one."""
    name = reference.get("Ref") if isinstance(reference, dict) else None
    found: Properties = template["Resources"].get(name, {}).get("Properties", {})
    return found


def _endpoint(properties: Properties, _: Template) -> Iterator[Quantity]:
    if properties.get("VpcEndpointType") == "Interface":
        yield Quantity("interface endpoint in a zone", len(properties.get("SubnetIds", [])))
        yield Quantity("interface endpoint data", None)


def _load_balancer(properties: Properties, _: Template) -> Iterator[Quantity]:
    yield Quantity(f"{properties.get('Type', 'application')} load balancer", 1)
    yield Quantity("load balancer capacity", None)


def _alarm(properties: Properties, _: Template) -> Iterator[Quantity]:
    metrics = [each for each in properties.get("Metrics", []) if "MetricStat" in each]
    yield Quantity("alarm metric", len(metrics) or 1)


def _each(item: str, by_use: str | None = None) -> Counter:
    def count(_: Properties, __: Template) -> Iterator[Quantity]:
        yield Quantity(item, 1)
        if by_use:
            yield Quantity(by_use, None)

    return count


def _logs(_: Properties, __: Template) -> Iterator[Quantity]:
    yield Quantity("log ingestion", None)


_COUNTERS: Mapping[str, Counter] = {
    "AWS::AutoScaling::AutoScalingGroup": _hosts,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _each("dashboard"),
    "AWS::EC2::EIP": _each("public IPv4 address"),
    "AWS::EC2::NatGateway": _each("NAT gateway", by_use="NAT gateway data"),
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::ECS::Service": _tasks,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _load_balancer,
    "AWS::KMS::Key": _each("KMS key"),
    "AWS::Logs::LogGroup": _logs,
    "AWS::SecretsManager::Secret": _each("secret"),
    "AWS::ServiceDiscovery::PrivateDnsNamespace": _each("hosted zone"),
}
"""How each type of resource is charged while it stands, and what of it is charged by use."""
