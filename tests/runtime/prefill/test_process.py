"""The entrypoint as ECS runs it, with a real metadata service and a recording ``vllm``."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.handoff import fabric, settings
from runtime.prefill.instance import ENDPOINT_VARIABLE
from tests.patience import HUNG_SECONDS
from tests.ports import free_port
from tests.runtime.prefill.conftest import ADDRESS, client, health

OPENSSL = str(shutil.which("openssl"))
VLLM = f"""#!{sys.executable}
import json, os, sys
kept = {{name: os.environ[name] for name in ("VLLM_API_KEY", "VLLM_NIXL_SIDE_CHANNEL_HOST", "FI_PROVIDER")}}
pem = open(sys.argv[-1]).read()
print(json.dumps([os.getppid(), sys.argv[1:], kept, pem.count("PRIVATE KEY"), pem.count("BEGIN CERTIFICATE")]))
sys.exit(7)
"""
FI_INFO = "#!/bin/sh\necho 'domain: rdmap0s0-rdm'\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    for name, script in {"vllm": VLLM, "fi_info": FI_INFO}.items():
        program = tmp_path / name
        program.write_text(script)
        program.chmod(0o755)
    return str(tmp_path)


@pytest.fixture
def secret(endpoint: str, tmp_path: Path) -> str:
    """Return the ARN of the worker key's secret."""
    made = client("secretsmanager", endpoint).create_secret(Name=tmp_path.name, SecretString="worker-key")
    return str(made["ARN"])


@pytest.fixture
def task(path: str, metadata: str, secret: str, aws_environment: dict[str, str]) -> dict[str, str]:
    """Give what a task definition and a whole host give."""
    for device in ("neuron0", "infiniband/uverbs0"):
        made = Path(path, "dev", device)
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()
    return {
        **aws_environment,
        "PATH": f"{path}:{os.path.dirname(OPENSSL)}",
        ENDPOINT_VARIABLE: metadata,
        settings.HOST_ROOT: path,
        settings.NEURON_DEVICES: "1",
        settings.EFA_INTERFACES: "1",
        fabric.PROVIDER_VARIABLE: "efa",
        settings.WORKER_SECRET_ARN: secret,
        settings.DEPLOYMENT: "small",
        settings.STAGE: "prefill",
        settings.STATUS_PORT: str(free_port(ADDRESS)),
        settings.START_SECONDS: "120",
        settings.WARM_START_SECONDS: "120",
        settings.DRAIN_SECONDS: "5",
    }


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runtime.prefill", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HUNG_SECONDS, check=False)


def test_vllm_is_its_child_and_its_status_vllms(task: dict[str, str]) -> None:
    command = [sys.executable, "-m", "runtime.prefill", "serve", "org/model", "--port=8100"]
    with subprocess.Popen(command, env=task, stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate(timeout=HUNG_SECONDS)
    parent, arguments, variables, *pem = json.loads(out.splitlines()[1])
    given = ["serve", "org/model", "--port=8100", "--host", ADDRESS]
    assert (parent, arguments[: len(given)], pem) == (process.pid, given, [2, 1])
    assert variables.pop("VLLM_API_KEY") not in ("", "worker-key")
    assert variables == {"VLLM_NIXL_SIDE_CHANNEL_HOST": ADDRESS, "FI_PROVIDER": "efa"}
    assert process.returncode == 7


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "{metadata}wrong"])
def test_without_metadata_it_says_so(task: dict[str, str], metadata: str, base: str) -> None:
    ended = run({**task, ENDPOINT_VARIABLE: base.format(metadata=metadata)}, "serve", "org/model")
    assert ended.returncode == 1
    assert ended.stderr.startswith("prefill: no local-ipv4 from the instance metadata service at")
    assert len(ended.stderr.splitlines()) == 1


def test_without_a_key_or_vllm_it_says_so(task: dict[str, str], path: str) -> None:
    ended = run({**task, settings.WORKER_SECRET_ARN: ""}, "serve", "org/model")
    assert (ended.returncode, settings.WORKER_SECRET_ARN in ended.stderr) == (2, True)
    ended = run({**task, settings.WORKER_SECRET_ARN: "other"}, "serve", "org/model")
    assert (ended.returncode, "the secret other cannot be read" in ended.stderr) == (1, True)
    Path(path, "vllm").unlink()
    ended = run(task, "serve", "org/model")
    assert ended.returncode == 127
    assert "cannot run vllm" in ended.stderr


def test_on_a_host_that_lacks_a_device_it_does_not_start_and_has_the_host_replaced_once(
    task: dict[str, str], path: str, endpoint: str, host: str
) -> None:
    Path(path, "dev", "neuron0").unlink()
    ended = run(task, "serve", "org/model")
    lacks = "1 of 1 devices /dev/neuron* are not in the container"
    assert ended.returncode == 3
    assert ended.stderr.startswith(f"prefill: {lacks}")
    assert ended.stdout.startswith(f"prefill: Auto Scaling replaces {host}: {lacks}")
    assert health(endpoint, host) == "unhealthy"
    again = run(task, "serve", "org/model")
    assert (again.returncode, again.stdout) == (3, "prefill: another host has been asked for already\n")


def test_an_image_without_efa_is_no_fault_of_the_host(task: dict[str, str], path: str) -> None:
    Path(path, "fi_info").unlink()
    ended = run(task, "serve", "org/model")
    assert (ended.returncode, ended.stdout) == (6, "")


def test_a_status_port_in_use_is_named(task: dict[str, str]) -> None:
    with socket.create_server((ADDRESS, int(task[settings.STATUS_PORT]))):
        ended = run(task, "serve", "org/model")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "address already in use" in ended.stderr
