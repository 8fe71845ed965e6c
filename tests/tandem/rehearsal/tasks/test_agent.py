"""Tasks ask their host as on ECS and EC2: by metadata documents, IMDSv2 tokens and their role's credentials."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import botocore.session
import pytest
from botocore.credentials import ContainerProvider

from runtime.gateway.address import listen_address
from runtime.prefill.instance import local_ipv4
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.agent import HostAgent, Placement
from tests.patience import HUNG_SECONDS

TOKEN_HEADER = "X-aws-ec2-metadata-token"


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - the agent's own address
    try:
        with urllib.request.urlopen(request, timeout=HUNG_SECONDS) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_tells_a_container_only_what_its_task_has(agent: HostAgent, gateway: Placement, worker: Placement) -> None:
    assert set(agent.place(gateway)) == {"ECS_CONTAINER_METADATA_URI_V4", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}
    assert set(agent.place(worker)) == {"ECS_CONTAINER_METADATA_URI_V4", "AWS_EC2_METADATA_SERVICE_ENDPOINT"}


def test_task_metadata_has_the_shape_of_ecs(agent: HostAgent, gateway: Placement, worker: Placement) -> None:
    found = [_metadata(agent, placement) for placement in (gateway, worker)]
    assert [document["Containers"] for document in found] == [
        [
            {
                "Name": "gateway",
                "Image": "example.com/gateway:1",
                "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["127.70.0.1"]}],
            }
        ],
        [{"Name": "vllm", "Image": "example.com/vllm:1", "Networks": [{"NetworkMode": "host"}]}],
    ]
    assert [document["Family"] for document in found] == ["gateway", "worker"]


def _metadata(agent: HostAgent, placement: Placement) -> dict[str, Any]:
    status, text = ask(agent.place(placement)["ECS_CONTAINER_METADATA_URI_V4"] + "/task")
    assert status == 200
    document: dict[str, Any] = json.loads(text)
    return document


def test_instance_metadata_needs_a_token(agent: HostAgent, worker: Placement) -> None:
    base = agent.place(worker)["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
    document = f"{base}/latest/meta-data/local-ipv4"
    status, token = ask(f"{base}/latest/api/token", "PUT", **{f"{TOKEN_HEADER}-ttl-seconds": "60"})
    assert status == 200
    assert ask(document, **{TOKEN_HEADER: token}) == (200, "127.70.0.2")
    assert ask(document) == (401, "")
    assert ask(document, **{TOKEN_HEADER: "other"}) == (401, "")


def test_the_programs_find_their_own_addresses(agent: HostAgent, gateway: Placement, worker: Placement) -> None:
    assert listen_address(agent.place(gateway)) == "127.70.0.1"
    assert local_ipv4(agent.place(worker)) == "127.70.0.2"


def test_credentials_are_those_of_the_tasks_role(agent: HostAgent, gateway: Placement, aws: Api) -> None:
    url = agent.place(gateway)["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    credentials = ContainerProvider(environ={"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}).load()
    assert credentials is not None
    sts = botocore.session.get_session().create_client(
        "sts",
        region_name=aws.region,
        endpoint_url=aws.endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
    )
    role = gateway.task.task_role.rpartition("/")[2]
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::111122223333:assumed-role/{role}/gateway"


@pytest.mark.parametrize(
    "path", ["", "/", "/tasks", "/tasks/0", "/tasks/999/task", "/tasks/x/task", "/hosts/0/latest/user-data", "/a/b/c/d"]
)
def test_anything_else_is_not_there(agent: HostAgent, gateway: Placement, path: str) -> None:
    base = agent.place(gateway)["ECS_CONTAINER_METADATA_URI_V4"].partition("/tasks")[0]
    assert ask(base + path) == (404, "")
