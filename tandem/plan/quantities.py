"""Count in templates what is charged for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tandem.assembly import Template


@dataclass(frozen=True, slots=True)
class Quantity:
    """Ask for ``count`` of an item of the price table, ``None`` where it depends on use; scaling may reach ``most``."""

    item: str
    count: float | None
    note: str = ""
    most: float | None = None

    @property
    def at_most(self) -> float | None:
        """The count at its largest."""
        return self.count if self.most is None else self.most


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
    if one.count is None or other.count is None or one.at_most is None or other.at_most is None:
        return Quantity(one.item, None, one.note or other.note)
    count, most = one.count + other.count, one.at_most + other.at_most
    return _ranging(one.item, count, most, one.note or other.note)


def _ranging(item: str, count: float, most: float, note: str = "") -> Quantity:
    return Quantity(item, count, note, most if most > count else None)


def _hosts(properties: Properties, template: Template) -> Iterator[Quantity]:
    count = int(properties.get("DesiredCapacity") or properties["MinSize"])
    most = int(properties["MaxSize"])
    data = _referred(_launch_template(properties), template).get("LaunchTemplateData", {})
    market = data.get("InstanceMarketOptions", {}).get("MarketType", "").replace("-", " ")
    item = f"{data.get('InstanceType', 'instance of unknown type')} {market}".strip()
    yield _ranging(item, count, most)
    for mapping in data.get("BlockDeviceMappings", []):
        volume = mapping.get("Ebs", {})
        size = volume.get("VolumeSize", 0)
        yield _ranging(f"{volume.get('VolumeType', 'gp2')} volume", count * size, most * size)


def _launch_template(group: Properties) -> Any:
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification")
    return (group.get("LaunchTemplate") or mixed or {}).get("LaunchTemplateId")


def _tasks(properties: Properties, template: Template) -> Iterator[Quantity]:
    """Count what Fargate bills; tasks on hosts of our own come with the host."""
    if properties.get("LaunchType") == "FARGATE":
        task, (count, most) = _referred(properties["TaskDefinition"], template), _task_bounds(properties, template)
        for item, size in (("Fargate vCPU", int(task["Cpu"]) / 1024), ("Fargate memory", int(task["Memory"]) / 1024)):
            yield _ranging(item, count * size, most * size)


def _task_bounds(service: Properties, template: Template) -> tuple[int, int]:
    """Return the fewest and the most tasks: the service's count, or the bounds of the target that scales it."""
    [name] = [name for name, body in template["Resources"].items() if body.get("Properties") is service]
    for body in template["Resources"].values():
        if body["Type"] == "AWS::ApplicationAutoScaling::ScalableTarget":
            target = body["Properties"]
            if f"'{name}'" in str(target["ResourceId"]):
                return int(target["MinCapacity"]), int(target["MaxCapacity"])
    count = int(service.get("DesiredCount", 1))
    return count, count


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


def _trail(_: Properties, __: Template) -> Iterator[Quantity]:
    yield Quantity(
        "audit events", None, "object events of the artifacts; and management events, if another trail has them"
    )


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
    "AWS::CloudTrail::Trail": _trail,
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
