"""An embedded AWS whose Bedrock keeps state, and custom resource events that its mailbox answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from moto.moto_api import state_manager

from runtime.functions import custom_resource
from tandem.rehearsal.cloud.bedrock_actions import IMPORT_JOB
from tandem.rehearsal.cloud.server import EmbeddedCloud

ACCOUNT, REGION = "111122223333", "us-east-2"


@dataclass
class Invocation:
    """Be the context of a function with much time left."""

    invoked_function_arn: str = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:registrar"
    milliseconds: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        """Return the time until Lambda ends the function."""
        return self.milliseconds


@dataclass
class CloudFormation:
    """Send events as CloudFormation does, and return the responses."""

    cloud: EmbeddedCloud
    handler: Callable[[dict[str, Any], Invocation], None]
    stack_id: str = field(default_factory=lambda: f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/s/{uuid.uuid4()}")

    def event(self, kind: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Return an event with a response URL of its own."""
        return {
            "RequestType": kind,
            "ResponseURL": self.cloud.mailbox.open(self.cloud.endpoint),
            "StackId": self.stack_id,
            "RequestId": str(uuid.uuid4()),
            "LogicalResourceId": "Resource",
            "ResourceProperties": properties,
            **more,
        }

    def deliver(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """Invoke the handler; return its response, None if it has given none yet."""
        self.handler(event, Invocation())
        body = self.cloud.mailbox.close(event["ResponseURL"])
        answer: dict[str, Any] | None = json.loads(body) if body else None
        return answer

    def send(self, kind: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Send an event; return the response, which must come."""
        answer = self.deliver(self.event(kind, properties, **more))
        assert answer is not None
        return answer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    with EmbeddedCloud(ACCOUNT, REGION, tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def cloud(running: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedCloud]:
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    yield running
    state_manager.unset_transition(IMPORT_JOB)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let pauses take no time but on the clock; return them."""
    pauses: list[float] = []

    class Time:
        @staticmethod
        def time() -> float:
            return 1000.0 + sum(pauses)

        @staticmethod
        def sleep(seconds: float) -> None:
            pauses.append(seconds)

    monkeypatch.setattr(custom_resource, "time", Time)
    return pauses
