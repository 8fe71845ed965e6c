"""What runs is what was deployed."""

from __future__ import annotations

from tandem.rehearsal.tasks.task import Registration, Task


def test_a_fargate_service_is_read_as_deployed(ids: dict[str, str], tasks: dict[str, Task]) -> None:
    secret = ids["Secret"]
    assert tasks["gateway"] == Task(
        service="gateway",
        task_definition=ids["GatewayTask"],
        container="gateway",
        image="example.com/gateway:1",
        command=(),
        environment={"TANDEM_MODEL": "m"},
        secrets={"KEY": f"{secret}:api_key::", "NUMBER": f"{secret}:number::", "WHOLE": secret},
        ports=(8080,),
        devices=(),
        volumes=(),
        host_network=False,
        desired_count=1,
        execution_role=f"arn:aws:iam::111122223333:role/{ids['Execution']}",
        task_role=f"arn:aws:iam::111122223333:role/{ids['TaskRole']}",
        discovery=(),
        listed=(f"arn:aws:servicediscovery:us-east-2:111122223333:service/{ids['Count']}",),
        targets=(Registration(arn=ids["Targets"], port=8080),),
        security_groups=(ids["GatewayGroup"],),
        hosts=(),
    )


def test_a_service_on_hosts_is_read_as_deployed(ids: dict[str, str], tasks: dict[str, Task]) -> None:
    worker = tasks["worker"]
    assert (worker.container, worker.image, worker.command) == ("vllm", "example.com/vllm:1", ("serve", "m"))
    assert (worker.ports, worker.host_network, worker.desired_count) == ((8100, 5559), True, 2)
    assert (worker.execution_role, worker.task_role) == ("", "")
    assert worker.security_groups == (ids["WorkerGroup"],), "its network is its host's"
    assert len(worker.hosts) == 2
    assert worker.health == ("CMD", "python3", "-m", "health")
    assert (worker.least_percent, worker.most_percent) == (50, 100)
    [entry] = worker.discovery
    assert entry.port == 8100
    assert entry.arn.endswith(f"/{ids['Discovery']}")
