"""vLLM workers on ECS: task, service, discovery, and who may reach them."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk.assertions import Match

from runtime.handoff import settings
from tandem.spec.instances import INSTANCE_TYPES, InstanceType
from tests.templates import named, resources, stack, statements, templates

_WITH_EFA = [kind for kind in INSTANCE_TYPES.values() if kind.efa_interfaces]


def _task(template: dict[str, Any], container: str = "vllm") -> dict[str, Any]:
    tasks = resources(template, "AWS::ECS::TaskDefinition").values()
    [task] = [task for task in tasks if task["ContainerDefinitions"][0]["Name"] == container]
    return task


def _container(kind: str = "prefill", provider: str = "cs3", **changes: object) -> dict[str, Any]:
    task = _task(templates(provider, **changes)[kind])
    assert task["NetworkMode"] == "host"
    assert task["RequiresCompatibilities"] == ["EC2"]
    [container] = task["ContainerDefinitions"]
    return dict(container)


@pytest.mark.parametrize("kind", _WITH_EFA, ids=lambda kind: kind.name)
def test_a_worker_has_every_device_of_its_host(kind: InstanceType) -> None:
    container = _container(
        prefill__groups__0__instance_type=kind.name, prefill__groups__0__tensor_parallel=kind.logical_cores
    )
    devices = container["LinuxParameters"]["Devices"]
    assert [device["HostPath"] for device in devices] == [
        *(f"/dev/neuron{index}" for index in range(kind.neuron_devices)),
        *(f"/dev/infiniband/uverbs{index}" for index in range(kind.efa_interfaces)),
    ]
    assert all(device["Permissions"] == ["read", "write", "mknod"] for device in devices)
    promised = named(container["Environment"])
    assert promised[settings.NEURON_DEVICES] == str(kind.neuron_devices)
    assert promised[settings.EFA_INTERFACES] == str(kind.efa_interfaces)
    assert kind.memory_gib * 1024 * 0.85 < container["MemoryReservation"] < kind.memory_gib * 1024 * 0.95


def test_a_worker_may_pin_memory_and_share_some() -> None:
    container = _container()
    assert container["LinuxParameters"]["SharedMemorySize"] == 10 * 1024
    assert container["Ulimits"] == [{"Name": "memlock", "SoftLimit": -1, "HardLimit": -1}]


def test_a_start_that_finds_artifacts_has_less_time() -> None:
    given = named(_container(prefill__warm_start_seconds=900)["Environment"])
    assert (given[settings.WARM_START_SECONDS], given[settings.START_SECONDS]) == ("900", "5400")


def test_a_worker_that_stops_has_time_to_drain_and_one_that_compiles_to_start() -> None:
    container = _container(prefill__start_seconds=7200)
    given = named(container["Environment"])
    assert container["StopTimeout"] == 120
    assert int(given[settings.DRAIN_SECONDS]) + 10 < 120, "vLLM is killed 10 s after the drain"
    assert given[settings.START_SECONDS] == given["VLLM_ENGINE_READY_TIMEOUT_S"] == "7200"
    assert container["LinuxParameters"]["InitProcessEnabled"] is True


@pytest.mark.parametrize(("warm", "interval"), [(60, 36), (1200, 150), (1800, 210), (86400, 300)])
def test_the_next_worker_is_replaced_once_a_start_with_artifacts_serves(warm: int, interval: int) -> None:
    check = _container(prefill__warm_start_seconds=warm, prefill__start_seconds=86400)["HealthCheck"]
    assert check["Command"] == ["CMD", "python3", "-m", "runtime.prefill.health", str(300 + 9 * interval)]
    assert (check["StartPeriod"], check["Interval"], check["Retries"]) == (300, interval, 10)
    waits = 300 + 10 * interval
    assert waits >= warm + 600 or waits == 3300, "the longest that ECS can wait"


@pytest.mark.parametrize(("fewest", "count", "least"), [(1, 1, 0), (1, 2, 0), (2, 2, 50), (3, 3, 50), (2, 3, 50)])
def test_a_deployment_leaves_half_of_a_groups_workers_where_there_are_several(
    fewest: int, count: int, least: int
) -> None:
    prefill = templates(prefill__groups__0__min_count=fewest, prefill__groups__0__count=count)["prefill"]
    [service] = resources(prefill, "AWS::ECS::Service").values()
    told = service["DeploymentConfiguration"]
    assert (told["MinimumHealthyPercent"], told["MaximumPercent"]) == (least, 100)
    assert -(-fewest * least // 100) < fewest, "one at least may be stopped, else the deployment hangs"


def test_a_spot_worker_drains_within_what_is_left_of_two_minutes() -> None:
    container = _container(prefill__groups__0__capacity={"mode": "spot"})
    assert container["StopTimeout"] == 90
    assert int(named(container["Environment"])[settings.DRAIN_SECONDS]) == 75


def test_every_server_has_the_hosts_own_port() -> None:
    mappings = _container(prefill__api_port=8111, prefill__side_channel_port=5511, prefill__status_port=8011)[
        "PortMappings"
    ]
    assert [(m["ContainerPort"], m["HostPort"], m["Protocol"]) for m in mappings] == [
        (8111, 8111, "tcp"),
        (5511, 5511, "tcp"),
        (8011, 8011, "tcp"),
    ]


@pytest.mark.parametrize(("kind", "role"), [("prefill", "kv_producer"), ("decode", "kv_consumer")])
def test_each_side_is_told_its_role(kind: str, role: str) -> None:
    container = _container(kind, "vllm")
    assert container["Command"][:2] == ["serve", "example/model"]
    assert f'"kv_role":"{role}"' in container["Command"][-1]


def test_artifacts_and_what_is_known_of_hosts_lie_in_the_bucket_that_the_role_may_use() -> None:
    variables = named(_container()["Environment"])
    for name, path in (
        (settings.ARTIFACTS, "/neff/example-model-"),
        (settings.RECOVERY, "/recovery/small-prefill/trn2"),
    ):
        scheme, bucket, rest = variables[name]["Fn::Join"][1]
        assert scheme == "s3://"
        assert rest.startswith(path)
        assert "ArtifactsBucket" in bucket["Fn::ImportValue"]
    granted = {str(s["Action"]): s["Resource"] for s in statements(templates()["prefill"], "WorkerTaskTaskRole")}
    objects = granted["['s3:AbortMultipartUpload', 's3:GetObject', 's3:PutObject']"]
    assert [each["Fn::Join"][1][1] for each in objects] == ["/neff/*", "/recovery/*"]
    assert "ArtifactsBucket" in granted["s3:ListBucket"]["Fn::ImportValue"]
    assert "ArtifactsKey" in granted["['kms:Decrypt', 'kms:GenerateDataKey']"]["Fn::ImportValue"]


def test_a_worker_may_have_hosts_of_its_own_group_replaced_and_no_others() -> None:
    prefill = templates()["prefill"]
    [group] = resources(prefill, "AWS::AutoScaling::AutoScalingGroup")
    [allowed] = [s for s in statements(prefill, "TaskRole") if s["Action"] == "autoscaling:SetInstanceHealth"]
    assert allowed["Resource"]["Fn::Join"][1][-2:] == [":autoScalingGroup:*:autoScalingGroupName/", {"Ref": group}]


def test_a_job_compiles_beside_the_worker_on_a_host_of_its_group() -> None:
    prefill = templates(model__weights="s3://weights.example/llama/70b")["prefill"]
    job, worker = _task(prefill, "compile"), _task(prefill)
    [container], [serving] = job["ContainerDefinitions"], worker["ContainerDefinitions"]
    assert job["PlacementConstraints"] == [{"Type": "memberOf", "Expression": "attribute:tandem.group == trn2"}]
    assert (job["NetworkMode"], job["Volumes"]) == ("bridge", worker["Volumes"]), "the worker has the host's ports"
    assert container["Command"] == ["compile", *serving["Command"][1:]]
    assert not {"PortMappings", "Secrets", "LinuxParameters"} & set(container), "it needs no device and no key"
    assert container["MemoryReservation"] + serving["MemoryReservation"] < 0.96 * 2048 * 1024
    given, beside = named(container["Environment"]), named(serving["Environment"])
    shared = (settings.ARTIFACTS, settings.WEIGHTS, settings.START_SECONDS, "HF_HOME")
    assert {name: given[name] for name in shared} == {name: beside[name] for name in shared}
    assert "FI_PROVIDER" not in given
    actions = [s["Action"] for s in statements(prefill, "CompilationRole")]
    assert "s3:GetObject" in actions
    assert "autoscaling:SetInstanceHealth" not in actions


def test_weights_are_fetched_from_the_prefix_that_the_file_names_and_no_other() -> None:
    assert settings.WEIGHTS not in named(_container()["Environment"])
    changes = {"model__weights": "s3://weights.example/llama/70b"}
    assert named(_container(**changes)["Environment"])[settings.WEIGHTS] == changes["model__weights"]
    granted = [s for s in statements(templates(**changes)["prefill"], "WorkerTaskTaskRole") if "Condition" in s]
    assert [s["Action"] for s in granted] == ["s3:ListBucket"]
    assert granted[0]["Condition"] == {"StringEquals": {"s3:prefix": "llama/70b/"}}
    [reading] = [
        s for s in statements(templates(**changes)["prefill"], "WorkerTaskTaskRole") if s["Action"] == "s3:GetObject"
    ]
    assert reading["Resource"]["Fn::Join"][1][-1] == ":s3:::weights.example/llama/70b/*"


def test_what_is_fetched_outlives_the_worker() -> None:
    container = _container()
    task = _task(templates()["prefill"])
    assert task["Volumes"] == [{"Name": "local", "Host": {"SourcePath": settings.LOCAL_FOLDER}}]
    [mount] = container["MountPoints"]
    assert (mount["SourceVolume"], mount["ContainerPath"], mount["ReadOnly"]) == ("local", settings.LOCAL_FOLDER, False)
    assert named(container["Environment"])["HF_HOME"].startswith(f"{settings.LOCAL_FOLDER}/")


def test_the_worker_reads_its_key_while_it_runs_and_so_does_its_rotation() -> None:
    prefill = templates()["prefill"]
    [key] = resources(prefill, "AWS::SecretsManager::Secret")
    assert "Secrets" not in _container()
    assert named(_container()["Environment"])[settings.WORKER_SECRET_ARN] == {"Ref": key}
    reading = [s for s in statements(prefill, "") if "secretsmanager:GetSecretValue" in s["Action"]]
    assert [s["Resource"] for s in reading] == [{"Ref": key}] * 2
    for role in ("TaskTaskRole", "KeyRotationRole"):
        assert [s for s in statements(prefill, role) if s in reading]


def test_the_image_is_built_on_the_base_that_the_file_names() -> None:
    # the build argument is part of the asset's hash
    assert _container()["Image"] != _container(prefill__image="example.com/neuron:1")["Image"]


def test_a_service_runs_one_worker_on_each_host_of_its_group_and_waits_for_none() -> None:
    stack("prefill", prefill__groups__0__count=2).has_resource_properties(
        "AWS::ECS::Service",
        {
            "SchedulingStrategy": "DAEMON",
            "DesiredCount": Match.absent(),
            "DeploymentConfiguration": {
                "MinimumHealthyPercent": 50,
                "MaximumPercent": 100,
                "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
            },
            "PlacementConstraints": [{"Type": "memberOf", "Expression": "attribute:tandem.group == trn2"}],
            # ECS refuses a daemon with a capacity provider strategy (aws/containers-roadmap#692)
            "LaunchType": "EC2",
            "CapacityProviderStrategy": Match.absent(),
        },
    )


def test_a_service_waits_for_its_capacity_to_be_associated() -> None:
    prefill = templates()["prefill"]
    [association] = resources(prefill, "AWS::ECS::ClusterCapacityProviderAssociations")
    [service] = [body for body in prefill["Resources"].values() if body["Type"] == "AWS::ECS::Service"]
    assert association in service["DependsOn"]


def test_a_type_without_facts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"instance type trn9\.xlarge is unknown"):
        templates(prefill__groups__0__instance_type="trn9.xlarge")


def test_the_files_own_facts_size_the_worker() -> None:
    facts = {"vcpus": 8, "memory_gib": 100, "neuron_devices": 2, "logical_cores": 64, "hbm_gib_per_device": 144}
    facts |= {"network_cards": 4, "interfaces_per_card": 2, "efa_interfaces": 3, "nitro": True}
    container = _container(prefill__groups__0__instance_type="trn3.48xlarge", prefill__groups__0__instance_facts=facts)
    paths = [device["HostPath"] for device in container["LinuxParameters"]["Devices"]]
    assert paths == ["/dev/neuron0", "/dev/neuron1", *(f"/dev/infiniband/uverbs{index}" for index in range(3))]
    assert container["MemoryReservation"] == 90 * 1024


def test_workers_are_found_by_srv_records() -> None:
    prefill = stack("prefill")
    stack("network").has_resource_properties("AWS::ServiceDiscovery::PrivateDnsNamespace", {"Name": "small.internal"})
    prefill.has_resource_properties(
        "AWS::ServiceDiscovery::Service",
        {
            "Name": "prefill",
            "DnsConfig": {"DnsRecords": [{"Type": "SRV"}]},
            "HealthCheckCustomConfig": {"FailureThreshold": 1},
        },
    )
    [discovery] = prefill.find_resources("AWS::ServiceDiscovery::Service")
    registry = {"ContainerName": "vllm", "ContainerPort": 8100, "RegistryArn": {"Fn::GetAtt": [discovery, "Arn"]}}
    prefill.has_resource_properties("AWS::ECS::Service", {"ServiceRegistries": [registry]})


@pytest.mark.parametrize(
    ("kind", "own", "other"), [("Ingress", "GroupId", "Source"), ("Egress", "GroupId", "Destination")]
)
def test_prefill_and_decode_exchange_kv_in_both_directions(kind: str, own: str, other: str) -> None:
    rules = [
        rule
        for template in templates("vllm").values()
        for rule in resources(template, f"AWS::EC2::SecurityGroup{kind}").values()
        if rule["IpProtocol"] == "-1"
    ]
    pairs = [(_stage(rule[own]), _stage(rule[f"{other}SecurityGroupId"])) for rule in rules]
    assert sorted(pairs) == [("here", "here"), ("here", "here"), ("here", "prefill"), ("prefill", "here")]


def _stage(group: dict[str, Any]) -> str:
    return "prefill" if "Fn::ImportValue" in group and "-prefill:" in group["Fn::ImportValue"] else "here"


def test_logs_are_kept_as_long_as_the_file_says() -> None:
    groups = resources(templates(observability__log_retention_days=7)["prefill"], "AWS::Logs::LogGroup")
    assert {group["RetentionInDays"] for group in groups.values()} == {7}
