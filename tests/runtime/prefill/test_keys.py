"""The worker key is kept fresh from Secrets Manager, as moto serves it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from runtime.handoff import settings
from runtime.prefill import keys
from runtime.prefill.keys import SecretError, WorkerKeys
from tests.patience import HUNG_SECONDS


class Agent(BaseHTTPRequestHandler):
    """Hand out credentials as the ECS agent does."""

    def do_GET(self) -> None:
        """Give some."""
        body = json.dumps({"AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "token"}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def agent() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Agent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def aws() -> Iterator[Any]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    yield boto3.client("secretsmanager", endpoint_url=f"http://{host}:{port}", region_name="us-east-2", **access)
    server.stop()


@pytest.fixture
def task(aws: Any, agent: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """Make a secret of the test's own, and return a worker's environment."""
    arn = aws.create_secret(Name=request.node.name, SecretString="one")["ARN"]
    return {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": agent,
        "AWS_ENDPOINT_URL": aws.meta.endpoint_url,
        "AWS_REGION": "us-east-2",
        settings.WORKER_SECRET_ARN: arn,
    }


def put(aws: Any, task: dict[str, str], value: str) -> None:
    aws.put_secret_value(SecretId=task[settings.WORKER_SECRET_ARN], SecretString=value)


async def test_the_current_key_and_the_one_before_are_known(aws: Any, task: dict[str, str]) -> None:
    known = WorkerKeys(task, print)
    await known.refresh()
    assert list(known.known) == ["one"]
    for value in ("two", "three"):
        put(aws, task, value)
    await known.refresh()
    assert known.known == ("three", "two")


async def test_who_asks_with_an_unknown_key_has_it_looked_for(
    aws: Any, task: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "RETRY_SECONDS", 0.01)
    known = WorkerKeys(task, print)
    async with known.kept_fresh(), asyncio.timeout(HUNG_SECONDS):
        put(aws, task, "two")
        known.miss()
        while known.known != ("two", "one"):
            await asyncio.sleep(0.01)  # polled, since nothing announces it


async def test_the_last_good_keys_stay_and_it_is_tried_again(
    aws: Any, task: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "RETRY_SECONDS", 0.01)
    said: list[str] = []
    known = WorkerKeys(task, said.append)
    async with known.kept_fresh(), asyncio.timeout(HUNG_SECONDS):
        whole, task["AWS_ENDPOINT_URL"] = task["AWS_ENDPOINT_URL"], "http://127.0.0.1:1"
        known.miss()
        while len(said) < 2:
            await asyncio.sleep(0.01)  # polled, as above
        assert list(known.known) == ["one"]
        put(aws, task, "two")
        task["AWS_ENDPOINT_URL"] = whole
        while known.known != ("two", "one"):
            await asyncio.sleep(0.01)  # polled, as above
    assert all("one" not in line and "cannot be read" in line for line in said)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (settings.WORKER_SECRET_ARN, "absent"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1"),
    ],
)
async def test_without_a_first_key_it_says_why(task: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(SecretError, match="cannot be read"):
        await WorkerKeys({**task, name: value}, print).refresh()
