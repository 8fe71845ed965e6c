"""The command examines a deployment in the embedded AWS, prints what it found, and tells by its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.config import Config

from runtime.handoff import settings
from tandem.cli import main
from tandem.doctor import aws, command
from tandem.doctor.checks import BEFORE, LIVE
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tests.documents import document
from tests.patience import HUNG_SECONDS
from tests.tandem.rehearsal.deployed import create, resources

ACCOUNT = "111122223333"
ROOT = Path(__file__).parents[3]
WRITE = Callable[..., str]
DOCTOR = """
import json, sys
from tandem.cli import main
status = main(["doctor", sys.argv[1]])
print(json.dumps(list(sys.modules)))
sys.exit(status)
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """Run an account with the stacks of a small deployment, whose tasks do not run."""
    with EmbeddedCloud(ACCOUNT, "us-east-2", tmp_path_factory.mktemp("cloud")) as running:
        for kind in ("prefill", "gateway"):
            create(running.api, f"small-{kind}", resources())
        keys = {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": '{"api_key": "to-be-replaced"}'}}
        outputs = {settings.DECODE_SECRET_OUTPUT: {"Value": {"Ref": "Keys"}}}
        template = json.dumps({"Resources": {"Keys": keys}, "Outputs": outputs})
        running.api.client("cloudformation").create_stack(StackName="small-decode", TemplateBody=template)
        yield running


@pytest.fixture
def account(cloud: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be that account's administrator, and as patient with it as a busy machine needs."""
    patient = Config(connect_timeout=HUNG_SECONDS, read_timeout=HUNG_SECONDS, retries={"total_max_attempts": 1})
    monkeypatch.setattr(aws, "_FIRST_CALL", patient)
    monkeypatch.setattr(aws, "_CONFIG", patient)
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be somebody without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def write(tmp_path: Path) -> WRITE:
    """Return what writes a deployment file: by default one whose endpoint is not there, nor its image."""

    def written(**changes: Any) -> str:
        ecr = f"{ACCOUNT}.dkr.ecr.us-east-2.amazonaws.com/vllm:1"
        ours: dict[str, Any] = {
            "decode__endpoint": "https://localhost:1",
            "prefill__image": ecr,
            "network__efa_zone": "us-east-2a",
        }
        path = tmp_path / "deployment.yaml"
        path.write_text(yaml.safe_dump(document(**{**ours, **changes})))
        return str(path)

    return written


def examined(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    """Return the printed JSON's checks by id."""
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert printed.keys() == {"findings", "checks"}
    assert all(one.keys() == {"check", "verdict", "found", "change"} for one in printed["checks"])
    return {one["check"]: one for one in printed["checks"]}


@pytest.mark.usefixtures("account")
def test_a_deployment_is_examined_before_and_live(write: WRITE, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--live", "--output", "json", write()]) == 1
    checks = examined(capsys)
    assert {name: one["verdict"] for name, one in checks.items()} == {
        "account": "PASS",
        "clock": "PASS",
        "cdk-bootstrap": "FAIL",
        "vcpu-quota": "UNKNOWN",  # moto knows no EC2 quota
        "reservation": "PASS",
        "instance-type-offered": "PASS",
        "host-image": "PASS",
        "worker-image": "FAIL",
        "weights": "PASS",
        "certificate": "PASS",
        "decode-secret": "FAIL",
        "decode-endpoint": "FAIL",
        "tenants": "UNKNOWN",  # the small stack has no outputs
        "registrar": "PASS",
        "cidr": "PASS",
        "hosts-in-service": "PASS",
        "services": "FAIL",
        "efa-interfaces": "FAIL",  # moto gives every instance one plain interface
        "efa-provider": "UNKNOWN",  # no worker is registered, and none published
        "placement": "PASS",
        "task-revision": "UNKNOWN",
        "versions": "UNKNOWN",
        "workers-registered": "FAIL",
        "leases": "UNKNOWN",
        "gateway-ready": "FAIL",
    }
    assert all(bool(one["change"]) == (one["verdict"] != "PASS") for one in checks.values())
    assert "worker runs 0 of 2" in checks["services"]["found"]
    assert "asks for no EFA interface" in checks["efa-interfaces"]["found"]
    assert checks["workers-registered"]["found"] == "0 of 1 prefill workers registered healthy"


@pytest.mark.usefixtures("account")
def test_without_live_nothing_deployed_is_examined(write: WRITE, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--output=json", write()])
    assert list(examined(capsys)) == list(BEFORE)


@pytest.mark.usefixtures("account")
def test_the_table_has_a_line_a_check_and_a_sum(
    write: WRITE, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("account", "cdk-bootstrap", "cidr")
    monkeypatch.setattr(command, "BEFORE", {name: BEFORE[name] for name in names})
    path = write()
    assert main(["doctor", path]) == 1
    warning, *lines, last = capsys.readouterr().out.splitlines()
    assert warning.startswith("WARNING plain-http")
    assert lines[0].startswith(f"PASS     account        arn:aws:sts::{ACCOUNT}:")
    assert lines[1:3] == [
        "FAIL     cdk-bootstrap  no bootstrap stack in us-east-2",
        "                        change: run cdk bootstrap aws://ACCOUNT/us-east-2",
    ]
    assert lines[3].startswith("PASS     cidr           10.40.0.0/16 overlaps no VPC")
    assert last == f"{path}: 2 passed, 1 failed, 0 unknown"


@pytest.mark.usefixtures("nobody")
def test_without_credentials_nothing_fails(write: WRITE, capsys: pytest.CaptureFixture[str]) -> None:
    path = write()
    assert main(["doctor", "--live", path]) == 0
    _, *rows, change, last = capsys.readouterr().out.splitlines()
    assert len(rows) == len(BEFORE) + len(LIVE)
    assert all(row.endswith("no AWS credentials were found") for row in rows)
    assert "log in" in change
    assert last == f"{path}: 0 passed, 0 failed, {len(rows)} unknown"


@pytest.mark.usefixtures("nobody")
def test_offline_it_loads_little(write: WRITE) -> None:
    """A busy machine stretches times, not what is loaded; that it waits for nothing is for test_examine."""
    done = subprocess.run([sys.executable, "-c", DOCTOR, write()], cwd=ROOT, capture_output=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert not {name.partition(".")[0] for name in loaded} & {"aws_cdk", "jsii", "moto", "aiohttp", "openai", "numpy"}
    assert len(loaded) < 700


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_file_with_errors_is_not_examined(
    output: str, write: WRITE, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "connect", None)
    assert main(["doctor", f"--output={output}", write(network__efa_zone="eu-west-1a")]) == 1
    printed = capsys.readouterr().out
    if output == "json":
        assert json.loads(printed)["checks"] == []
        assert json.loads(printed)["findings"][0]["severity"] == "ERROR"
    else:
        assert printed.startswith("ERROR ")


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path / "absent.yaml")]) == 1
    assert capsys.readouterr().out.startswith("ERROR file-unreadable at ")


@pytest.mark.usefixtures("nobody")
def test_an_unknown_profile_is_named(write: WRITE, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--profile", "absent", "--output=json", write()]) == 0
    assert {one["found"] for one in examined(capsys).values()} == {
        "AWS could not be asked: The config profile (absent) could not be found"
    }


def test_an_interruption_ends_without_a_traceback(write: WRITE, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "connect", interrupted)
    assert main(["doctor", write()]) == 130
