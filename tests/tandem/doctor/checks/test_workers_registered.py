"""Workers that Cloud Map does not call healthy are found."""

from __future__ import annotations

from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, client, judge, stack


def registered(**states: str) -> str:
    """Make the Cloud Map service with an instance for each state; return its id."""
    discovery, vpc = client("servicediscovery"), client("ec2").create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    discovery.create_private_dns_namespace(Name="small.internal", Vpc=vpc)
    [namespace] = discovery.list_namespaces()["Namespaces"]
    service = discovery.create_service(
        Name="prefill", NamespaceId=namespace["Id"], HealthCheckCustomConfig={"FailureThreshold": 1}
    )["Service"]["Id"]
    for index, (name, state) in enumerate(states.items()):
        address = {"AWS_INSTANCE_IPV4": f"10.40.0.{index}", "AWS_INSTANCE_PORT": "8100"}
        discovery.register_instance(ServiceId=service, InstanceId=name, Attributes=address)
        discovery.update_instance_custom_health_status(ServiceId=service, InstanceId=name, Status=state)
    return str(service)


def judged(count: int, **states: str) -> Result:
    wanted = deployment(prefill__groups__0__count=count)
    cloudformation = stack(("AWS::ServiceDiscovery::Service", registered(**states)))
    return judge("workers-registered", wanted, cloudformation=cloudformation)


def test_healthy_workers_pass() -> None:
    result = judged(2, a="HEALTHY", b="HEALTHY")
    assert (result.verdict, result.found) == (Verdict.PASS, "2 of 2 prefill workers registered healthy")


def test_an_unhealthy_worker_fails() -> None:
    result = judged(2, a="HEALTHY", b="UNHEALTHY")
    assert (result.verdict, result.found) == (Verdict.FAIL, "1 of 2 prefill workers registered healthy")


def test_a_missing_worker_fails() -> None:
    assert judged(1).found == "0 of 1 prefill workers registered healthy"


def test_every_page_counts() -> None:
    pages = answering(
        "servicediscovery",
        ("get_instances_health_status", {"Status": {"a": "HEALTHY", "b": "UNKNOWN"}, "NextToken": "more"}),
        ("get_instances_health_status", {"Status": {"c": "HEALTHY"}}),
    )
    cloudformation = stack(("AWS::ServiceDiscovery::Service", "srv-1"))
    wanted = deployment(prefill__groups__0__count=3)
    result = judge("workers-registered", wanted, cloudformation=cloudformation, servicediscovery=pages)
    assert result.found == "2 of 3 prefill workers registered healthy"


def test_before_a_deploy_nobody_knows() -> None:
    assert judge("workers-registered", deployment()).verdict is Verdict.UNKNOWN


def test_a_deployment_without_workers_passes() -> None:
    assert judge("workers-registered", deployment("openai")).verdict is Verdict.PASS
