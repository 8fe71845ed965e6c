"""``tandem tenant`` against a deployed secret: each key is printed once, and is one that the gateway takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from runtime.gateway.access.tenants import Keyring, identify, load
from runtime.handoff import settings
from tandem.cli import main
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tests.documents import document

ACCOUNT = "111122223333"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    with EmbeddedCloud(ACCOUNT, "us-east-2", tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def cloud(account: EmbeddedCloud) -> Iterator[EmbeddedCloud]:
    """Deploy a secret without a tenant, as long as the test lasts."""
    template = {
        "Resources": {"Tenants": {"Type": "AWS::SecretsManager::Secret", "Properties": {}}},
        "Outputs": {settings.TENANTS_OUTPUT: {"Value": {"Ref": "Tenants"}}},
    }
    formation = account.api.client("cloudformation")
    formation.create_stack(StackName="small-gateway", TemplateBody=json.dumps(template))
    yield account
    formation.delete_stack(StackName="small-gateway")


@pytest.fixture
def run(
    cloud: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Run:
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)

    def ran(action: str, *arguments: str, name: str = "small") -> tuple[int, str, str]:
        file = tmp_path / "deployment.yaml"
        file.write_text(yaml.safe_dump({**document(), "name": name}))
        status = main(["tenant", action, str(file), *arguments])
        said = capsys.readouterr()
        return status, said.out.strip(), said.err

    return ran


def stored(cloud: EmbeddedCloud) -> str:
    client = cloud.api.client("secretsmanager")
    [secret] = client.list_secrets()["SecretList"]
    text: str = client.get_secret_value(SecretId=secret["ARN"], VersionStage="AWSCURRENT")["SecretString"]
    return text


def test_a_tenant_from_its_first_key_to_its_last(cloud: EmbeddedCloud, run: Run) -> None:
    first = run("add", "acme", "--requests-per-minute=60")[1]
    second = run("rotate", "acme")[1]
    text = stored(cloud)
    for key in (first, second):
        found = identify(key, [Keyring(load(text))])
        assert found is not None
        assert (found.id, found.limits) == ("acme", {"requests_per_minute": 60})
        assert key not in text
    third = run("rotate", "acme", "--at-once")[1]
    known = [identify(key, [Keyring(load(stored(cloud)))]) is not None for key in (first, second, third)]
    assert known == [False, False, True]
    listed = json.loads(run("list", "--output=json")[1])
    assert listed == [
        {"id": "acme", "state": "active", "keys": 1, "signing": [], "limits": {"requests_per_minute": 60}}
    ]
    assert run("revoke", "acme")[1] == "acme is revoked"
    table = run("list")[1].splitlines()
    assert [line.split()[:3] for line in table] == [["tenant", "state", "keys"], ["acme", "revoked", "0"]]
    assert identify(third, [Keyring(load(stored(cloud)))]) is None


def test_a_pair_to_sign_with_is_printed_as_aws_tools_read_it(cloud: EmbeddedCloud, run: Run) -> None:
    run("add", "acme")
    printed = dict(line.split("=", 1) for line in run("sign", "acme")[1].splitlines())
    [(key_id, (_, secret))] = Keyring(load(stored(cloud))).signers.items()
    assert printed == {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret}
    [listed] = json.loads(run("list", "--output=json")[1])
    assert listed["signing"] == [key_id]


def test_limits_are_changed_and_a_tenant_is_removed(cloud: EmbeddedCloud, run: Run) -> None:
    run("add", "guest", "--requests-per-minute=60", "--concurrency=4")
    status, out, _ = run("limit", "guest", "--requests-per-minute=600", "--concurrency=none", "--weight=2")
    assert status == 0
    assert out.splitlines()[1].split(maxsplit=3)[3] == "requests_per_minute 600, weight 2"
    [found] = [tenant for tenant in load(stored(cloud)) if tenant.id == "guest"]
    assert found.limits == {"requests_per_minute": 600, "weight": 2}
    assert run("remove", "guest")[2].endswith("tandem tenant: tenant guest is active: revoke it first\n")
    run("revoke", "guest")
    assert run("remove", "guest")[:2] == (0, "guest is removed")
    assert "guest" not in {tenant.id for tenant in load(stored(cloud))}


def test_a_limit_is_a_positive_number_or_none(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("limit", "acme", "--weight=no")
    assert ended.value.code == 2
    assert "a positive whole number is needed" in capsys.readouterr().err


def test_what_cannot_be_done_is_one_line_and_status_1(run: Run) -> None:
    status, out, error = run("rotate", "nobody")
    assert (status, out) == (1, "")
    assert error.splitlines()[-1].startswith("tandem tenant: there is no active tenant nobody")
    assert run("list", name="other")[2].endswith("tandem tenant: stack other-gateway is not deployed\n")


def test_limits_are_positive_numbers(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("add", "acme", "--concurrency=0")
    assert ended.value.code == 2
    assert "a positive whole number is needed" in capsys.readouterr().err
