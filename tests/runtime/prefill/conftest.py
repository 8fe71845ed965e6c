"""Give tests an AWS over HTTP: moto's server, and the ECS agent that hands out credentials."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from runtime.handoff import settings
from tests import instance_metadata

ADDRESS = "127.45.6.8"
REGION = "us-east-2"
KEYS = {"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "token"}


class _Agent(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(KEYS).encode())

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="session")
def agent() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Agent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def client(service: str, endpoint: str) -> Any:
    """Return boto3's client of moto's service."""
    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, **keys)


@pytest.fixture(scope="session")
def s3(endpoint: str) -> Any:
    made = client("s3", endpoint)
    for bucket in ("weights", "artifacts"):
        made.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    return made


@pytest.fixture
def aws_environment(s3: Any, agent: str, endpoint: str, tmp_path: Path) -> dict[str, str]:
    """Give what a task on a host finds of AWS: region, credentials, and places in the bucket of this test's own."""
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        settings.HOST_ROOT: str(tmp_path),
        settings.ARTIFACTS: f"s3://artifacts/neff/{tmp_path.name}",
        settings.RECOVERY: f"s3://artifacts/recovery/{tmp_path.name}",
    }


@pytest.fixture
def host(endpoint: str, tmp_path: Path) -> str:
    """Return the id of the one host of an Auto Scaling group of this test's own."""
    ec2, autoscaling, name = client("ec2", endpoint), client("autoscaling", endpoint), tmp_path.name
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    data = {"ImageId": image, "InstanceType": "t3.micro"}
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": name, "Version": "1"},
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
        AvailabilityZones=[f"{REGION}a"],
    )
    [instance] = autoscaling.describe_auto_scaling_instances()["AutoScalingInstances"][-1:]
    return str(instance["InstanceId"])


def health(endpoint: str, host: str) -> str:
    """Return what Auto Scaling thinks of a host."""
    found = client("autoscaling", endpoint).describe_auto_scaling_instances(InstanceIds=[host])
    return str(found["AutoScalingInstances"][0]["HealthStatus"]).lower()


@pytest.fixture
def metadata(host: str) -> Iterator[str]:
    with instance_metadata.serving(ADDRESS, host) as url:
        yield f"{url}/"
