"""The real CDK CLI bootstraps, deploys, sees no changes, updates and destroys against the embedded AWS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.rehearsal.cloud import docker, images
from tests.patience import LONG_SECONDS
from tests.tandem.rehearsal.cloud.conftest import ACCOUNT, REGION, Deployer

ROOT = Path(__file__).parents[4]
APP = Path(__file__).parent / "app" / "app.py"
PATHS = (ROOT / "node_modules" / ".bin", Path(sys.executable).parent)

Cdk = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def cdk(deployer: Deployer, tmp_path_factory: pytest.TempPathFactory) -> Cdk:
    work = tmp_path_factory.mktemp("cdk")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}
    environment = kept | deployer.cloud.environment()
    environment |= {"PATH": os.pathsep.join([*map(str, PATHS), os.environ["PATH"]]), "PYTHONPATH": str(ROOT)}
    environment |= {"CDK_DOCKER": str(docker.write_program(work / "docker", ROOT))}
    environment |= {images.STORE_VARIABLE: str(work / "images"), "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["cdk", *arguments, "--no-notices", "--no-version-reporting", "--ci"]
        return subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, timeout=LONG_SECONDS, check=False
        )

    return run


def assembled(cdk: Cdk, name: str, *context: str) -> str:
    flags = [flag for one in context for flag in ("--context", one)]
    done = cdk("synth", "--quiet", "--app", f"{sys.executable} {APP}", "--output", name, *flags)
    assert done.returncode == 0, done.stderr
    return name


def deploy(cdk: Cdk, assembly: str) -> subprocess.CompletedProcess[str]:
    flags = ("--all", "--method=direct", "--require-approval=never", "--concurrency=3", "--progress=events")
    return cdk("deploy", "--app", assembly, *flags)


@pytest.mark.rehearsal
def test_bootstrap_deploy_update_destroy(cdk: Cdk, deployer: Deployer, tmp_path_factory: Any) -> None:
    assert cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}").returncode == 0
    first = assembled(cdk, "first")
    done = deploy(cdk, first)
    assert done.returncode == 0, done.stdout + done.stderr
    assert deployer.outputs("small-rest")["Length"] == "32"
    _check_image(deployer)
    again = deploy(cdk, first)
    assert again.stdout.count("(no changes)") + again.stderr.count("(no changes)") == 3

    changed = deploy(cdk, assembled(cdk, "second", "size=2", "grant=no"))
    assert changed.returncode == 0, changed.stdout + changed.stderr
    assert deployer.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]["DesiredCapacity"] == 2

    gone = cdk("destroy", "--app", first, "--all", "--force")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert [one["StackName"] for one in deployer.cloudformation.describe_stacks()["Stacks"]] == ["CDKToolkit"]
    assert [vpc["IsDefault"] for vpc in deployer.client("ec2").describe_vpcs()["Vpcs"]] == [True]
    clusters = deployer.client("ecs").list_clusters()["clusterArns"]  # ECS keeps deleted ones as inactive for a while
    states = {one["status"] for one in deployer.client("ecs").describe_clusters(clusters=clusters)["clusters"]}
    assert states == {"INACTIVE"}

    denied = deploy(cdk, "second")
    told = denied.stdout + denied.stderr
    assert denied.returncode == 1
    assert "is not authorized to perform: secretsmanager:GetSecretValue" in told


def _check_image(deployer: Deployer) -> None:
    ecr = deployer.client("ecr")
    repository = ecr.describe_repositories()["repositories"][0]["repositoryName"]
    assert len(ecr.describe_images(repositoryName=repository)["imageDetails"]) == 1
