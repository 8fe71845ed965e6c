"""The gateway: what it is told, what it may read, whom it may reach."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.gateway.admission.config import AdmissionConfig
from runtime.gateway.admission.limits import Limits
from runtime.gateway.config import Cs3Config, GatewayConfig, OpenAIConfig, VllmConfig
from runtime.handoff import settings
from tests.templates import named, only, resources, stack, statements, templates

_OWN = {settings.TENANTS_SECRET_ARN, settings.DECODE_SECRET_ARN}
_FORMS = {"cs3": Cs3Config, "vllm": VllmConfig, "openai": OpenAIConfig}


def _container(provider: str = "cs3", **changes: object) -> dict[str, Any]:
    [container] = only(templates(provider, **changes)["gateway"], "AWS::ECS::TaskDefinition")["ContainerDefinitions"]
    return dict(container)


@pytest.mark.parametrize("provider", _FORMS)
def test_the_program_starts_with_what_the_task_gives_it(provider: str) -> None:
    container = _container(provider)
    given = named(container["Environment"])
    # references stand for text that is known only once deployed
    environment = {name: value if isinstance(value, str) else "deployed" for name, value in given.items()}
    config = GatewayConfig.from_environment(environment)
    assert isinstance(config.provider, _FORMS[provider])
    assert (config.model, config.max_model_len, config.port) == ("example/model", 8192, 8080)


@pytest.mark.parametrize(
    ("provider", "secrets"),
    [
        ("cs3", {*_OWN, settings.PREFILL_SECRET_ARN, settings.TICKET_SECRET_ARN}),
        ("vllm", {*_OWN, settings.PREFILL_SECRET_ARN}),
        ("openai", _OWN),
    ],
)
def test_the_task_may_read_exactly_the_secrets_used_and_is_given_none(provider: str, secrets: set[str]) -> None:
    assert "Secrets" not in _container(provider)
    used = _secrets(provider)
    assert set(used) == secrets
    reading = [s for s in statements(templates(provider)["gateway"], "") if _reads_secrets(s)]
    granted = [r for s in reading for r in (s["Resource"] if isinstance(s["Resource"], list) else [s["Resource"]])]
    assert sorted(map(str, granted)) == sorted({str(value) for value in used.values()})
    assert reading == [s for s in statements(templates(provider)["gateway"], "TaskTaskRole") if _reads_secrets(s)]


def _reads_secrets(statement: dict[str, Any]) -> bool:
    return "secretsmanager:GetSecretValue" in statement["Action"]


def _secrets(provider: str) -> dict[str, Any]:
    """Return the ARNs of the secrets that the program is told, by variable."""
    environment = named(_container(provider)["Environment"])
    return {name: value for name, value in environment.items() if name.endswith("_SECRET_ARN")}


@pytest.mark.parametrize(
    ("provider", "origins"),
    [
        ("cs3", {settings.PREFILL_SECRET_ARN: "small-prefill:", settings.DECODE_SECRET_ARN: "small-decode:"}),
        ("vllm", {settings.PREFILL_SECRET_ARN: "small-prefill:", settings.DECODE_SECRET_ARN: "small-decode:"}),
        ("openai", {settings.DECODE_SECRET_ARN: "small-decode:"}),
    ],
)
def test_each_peer_is_shown_its_own_key(provider: str, origins: dict[str, str]) -> None:
    used = _secrets(provider)
    for name, stack_name in origins.items():
        assert used[name]["Fn::ImportValue"].startswith(stack_name), name
    assert "Ref" in used[settings.TENANTS_SECRET_ARN]


def test_the_secret_of_tenants_is_written_by_operators_alone() -> None:
    found = resources(templates()["gateway"], "AWS::SecretsManager::Secret")
    assert [secret.keys() for secret in found.values()] == [{"Description", "KmsKeyId", "Tags"}]


@pytest.mark.parametrize(("provider", "stages"), [("cs3", ["prefill"]), ("vllm", ["decode", "prefill"])])
def test_the_gateway_reaches_the_workers_it_discovers(provider: str, stages: list[str]) -> None:
    gateway = templates(provider)["gateway"]
    ports = {"prefill": [8099, 8100], "decode": [8099, 8200]}
    incoming = [
        (rule["FromPort"], rule["ToPort"], rule["GroupId"]["Fn::ImportValue"].split(":")[0])
        for rule in resources(gateway, "AWS::EC2::SecurityGroupIngress").values()
        if "Fn::ImportValue" in rule["GroupId"]
    ]
    assert sorted(incoming) == sorted((port, port, f"small-{s}") for s in stages for port in ports[s])
    outgoing = [r["FromPort"] for r in resources(gateway, "AWS::EC2::SecurityGroupEgress").values()]
    assert {port for s in stages for port in ports[s]} <= set(outgoing)
    actions = [s["Action"] for s in statements(gateway, "TaskTaskRole") if not _reads_secrets(s)]
    assert actions == ["servicediscovery:DiscoverInstances"]


def test_without_workers_the_gateway_may_read_its_secrets_and_count_its_tasks() -> None:
    granted = statements(templates("openai")["gateway"], "TaskTaskRole")
    assert [s["Action"] for s in granted if not _reads_secrets(s)] == ["servicediscovery:DiscoverInstances"]


@pytest.mark.parametrize("provider", ["cs3", "openai"])
def test_tasks_are_registered_where_each_of_them_counts_all(provider: str) -> None:
    gateway = templates(provider)["gateway"]
    [(name, registered)] = resources(gateway, "AWS::ServiceDiscovery::Service").items()
    [service] = resources(gateway, "AWS::ECS::Service").values()
    [registry] = service["Properties"]["ServiceRegistries"] if "Properties" in service else service["ServiceRegistries"]
    assert registry["RegistryArn"] == {"Fn::GetAtt": [name, "Arn"]}
    assert [record["Type"] for record in registered["DnsConfig"]["DnsRecords"]] == ["A"]
    environment = named(_container(provider)["Environment"])
    assert environment[settings.GATEWAY_SERVICE] == {"Fn::GetAtt": [name, "Name"]}
    assert environment[settings.GATEWAY_NAMESPACE] == "small.internal"


@pytest.mark.parametrize(
    ("endpoint", "ports"), [("https://cs3.example.com", [443]), ("https://cs3.example.com:8443", [443, 8443])]
)
def test_the_way_to_the_endpoints_port_is_open(endpoint: str, ports: list[int]) -> None:
    gateway = templates(decode__endpoint=endpoint)["gateway"]
    [group] = [g for k, g in resources(gateway, "AWS::EC2::SecurityGroup").items() if k.startswith("GatewayGroup")]
    assert [rule["FromPort"] for rule in group["SecurityGroupEgress"]] == ports


def test_requests_spill_over_to_whom_the_file_names_with_a_key_of_its_own() -> None:
    spare = {"endpoint": "https://spare.example.com:8443", "model": "theirs"}
    gateway = templates(gateway__spill_over=spare)["gateway"]
    [task] = resources(gateway, "AWS::ECS::TaskDefinition").values()
    environment = {each["Name"]: each["Value"] for each in task["ContainerDefinitions"][0]["Environment"]}
    assert environment[settings.SPILL_OVER_ENDPOINTS] == "https://spare.example.com:8443"
    assert environment[settings.SPILL_OVER_MODEL] == "theirs"
    secret = environment[settings.SPILL_OVER_SECRET_ARN]
    assert secret in [output["Value"] for output in gateway["Outputs"].values()]
    assert secret in next(s["Resource"] for s in statements(gateway, "TaskTaskRole") if _reads_secrets(s))
    [group] = [g for k, g in resources(gateway, "AWS::EC2::SecurityGroup").items() if k.startswith("GatewayGroup")]
    assert [rule["FromPort"] for rule in group["SecurityGroupEgress"]] == [443, 8443]


def test_the_service_runs_where_and_as_often_as_the_file_says() -> None:
    sizes: dict[str, Any] = {
        "gateway__min_count": 3,
        "gateway__max_count": 3,
        "gateway__cpu": 512,
        "gateway__memory_mib": 4096,
    }
    gateway = stack("gateway", **sizes, gateway__port=9000)
    gateway.has_resource_properties(
        "AWS::ECS::Service",
        {
            "LaunchType": "FARGATE",
            "DesiredCount": 3,
            "DeploymentConfiguration": {"MinimumHealthyPercent": 100, "MaximumPercent": 200},
            "NetworkConfiguration": {"AwsvpcConfiguration": {"AssignPublicIp": "DISABLED"}},
        },
    )
    gateway.has_resource_properties("AWS::ECS::TaskDefinition", {"Cpu": "512", "Memory": "4096"})
    container = _container(**sizes, gateway__port=9000)
    assert [mapping["ContainerPort"] for mapping in container["PortMappings"]] == [9000, 9464]
    assert container["ReadonlyRootFilesystem"] is True
    assert container["StopTimeout"] <= 120  # Fargate's limit


def test_a_task_takes_on_what_the_file_says_and_its_share_of_tenants_limits() -> None:
    sizes: dict[str, Any] = {
        "gateway__min_count": 3,
        "gateway__admission": {"running": 100, "tenant": {"concurrency": 9}},
    }
    admission = AdmissionConfig.load(named(_container(**sizes)["Environment"])[settings.ADMISSION])
    assert (admission.capacity.running, admission.capacity.waiting) == (100, 128)
    assert admission.limits({"weight": 2}, admission.gateways) == Limits(concurrency=3, weight=2)


def test_operators_are_told_where_to_call_and_where_tenants_are() -> None:
    outputs = templates()["gateway"]["Outputs"]
    [url] = [output["Value"] for key, output in outputs.items() if key.startswith("GatewayUrl")]
    assert url["Fn::Join"][1][0] == "http://"
    assert "Ref" in outputs[settings.TENANTS_OUTPUT]["Value"]


def test_prompts_are_counted_by_the_tokenizer_beside_the_weights() -> None:
    changes = {"model__weights": "s3://weights.example/llama"}
    assert (
        named(_container(**changes)["Environment"])[settings.TOKENIZER] == "s3://weights.example/llama/tokenizer.json"
    )
    [reading] = [
        s for s in statements(templates(**changes)["gateway"], "TaskTaskRole") if "s3:GetObject" in s["Action"]
    ]
    assert reading["Resource"]["Fn::Join"][1][-1] == ":s3:::weights.example/llama/tokenizer.json"


def test_a_tokenizer_of_its_own_comes_before_that_of_the_weights() -> None:
    changes = {"model__weights": "s3://weights.example/llama", "model__tokenizer": "s3://elsewhere/t.json"}
    assert named(_container(**changes)["Environment"])[settings.TOKENIZER] == "s3://elsewhere/t.json"


def test_without_one_nothing_is_read_from_a_bucket() -> None:
    assert settings.TOKENIZER not in named(_container()["Environment"])
    assert "s3:" not in str(statements(templates()["gateway"], "TaskTaskRole"))
