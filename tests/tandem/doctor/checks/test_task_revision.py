"""Tasks of an older revision beside new ones are found."""

from __future__ import annotations

from tandem.doctor.result import Result, Verdict
from tests.documents import deployment
from tests.tandem.doctor.accounts import answering, judge, stack

PREFIX = "arn:aws:ecs:us-east-2:123456789012"
SERVICE = f"{PREFIX}:service/cluster/gateway"


def judged(*revisions: int) -> Result:
    """Judge a service that asks for revision 7 and runs tasks of these."""
    service = {
        "serviceName": "gateway",
        "clusterArn": f"{PREFIX}:cluster/cluster",
        "taskDefinition": f"{PREFIX}:task-definition/gateway:7",
    }
    arns = [f"{PREFIX}:task/cluster/{index}" for index in range(len(revisions))]
    tasks = [{"taskDefinitionArn": f"{PREFIX}:task-definition/gateway:{revision}"} for revision in revisions]
    described = [("describe_tasks", {"tasks": tasks})] if tasks else []
    ecs = answering(
        "ecs", ("describe_services", {"services": [service]}), ("list_tasks", {"taskArns": arns}), *described
    )
    cloudformation = stack(("AWS::ECS::Service", SERVICE))
    return judge("task-revision", deployment("openai"), cloudformation=cloudformation, ecs=ecs)


def test_tasks_of_the_service_revision_pass() -> None:
    result = judged(7, 7)
    assert (result.verdict, result.found) == (Verdict.PASS, "gateway:7")


def test_an_older_task_fails() -> None:
    result = judged(7, 6)
    assert (result.verdict, result.found) == (
        Verdict.FAIL,
        "gateway runs gateway:6, gateway:7, its service asks for gateway:7",
    )


def test_tasks_of_one_wrong_revision_fail_as_well() -> None:
    assert judged(6, 6).verdict is Verdict.FAIL


def test_without_a_task_nobody_knows() -> None:
    result = judged()
    assert (result.verdict, result.found) == (Verdict.UNKNOWN, "no task is running")
