"""Answer what a task asks of its host: ECS task metadata, credentials of its role, instance metadata (IMDSv2)."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.tasks.task import Task

_TOKEN = "rehearsal"  # noqa: S105 - what IMDSv2 hands out guards nothing here
_SESSION_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Placement:
    """Hold one task of a service, from 1, and the address of the host or network interface that it runs on.

    Tasks that take one another's place have its number, and each is a ``run`` of it, from 1.
    """

    task: Task
    address: str
    number: int = 1
    run: int = 1

    @property
    def name(self) -> str:
        """Its service's name, with its number where it is not the first, and with its run where that is not."""
        number = "" if self.number == 1 else f"-{self.number}"
        return f"{self.task.service}{number}" + ("" if self.run == 1 else f"-run-{self.run}")


class HostAgent:
    """Serve every placement under a path of its own, ``/tasks/{index}`` and ``/hosts/{index}``."""

    def __init__(self, aws: Api) -> None:
        self._aws = aws
        self._placements: list[Placement] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="host-agent", daemon=True)

    def place(self, placement: Placement) -> dict[str, str]:
        """Add a placement; return the variables by which its container finds the agent."""
        self._placements.append(placement)
        index = len(self._placements) - 1
        base = f"http://localhost:{self._server.server_address[1]}"
        variables = {"ECS_CONTAINER_METADATA_URI_V4": f"{base}/tasks/{index}"}
        if placement.task.task_role:
            variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{base}/tasks/{index}/credentials"
        if placement.task.host_network:
            variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"{base}/hosts/{index}"
        return variables

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, method: str, path: str, token: str | None) -> tuple[HTTPStatus, str]:
        _, kind, index, *rest = path.split("/")
        placement = self._placements[int(index)]
        what = (method, kind, "/".join(rest))
        if what == ("GET", "tasks", "task"):
            return HTTPStatus.OK, json.dumps(_task_metadata(placement))
        if what == ("GET", "tasks", "credentials"):
            return HTTPStatus.OK, json.dumps(self._credentials(placement.task))
        if what == ("PUT", "hosts", "latest/api/token"):
            return HTTPStatus.OK, _TOKEN
        known = _instance_metadata(placement)
        if what[:2] == ("GET", "hosts") and what[2] in known:
            # IMDSv1 is off in the launch template: a call without a token is refused
            return (HTTPStatus.OK, known[what[2]]) if token == _TOKEN else (HTTPStatus.UNAUTHORIZED, "")
        return HTTPStatus.NOT_FOUND, ""

    def _credentials(self, task: Task) -> dict[str, str]:
        answer = self._aws.client("sts").assume_role(
            RoleArn=task.task_role, RoleSessionName=task.container, DurationSeconds=_SESSION_SECONDS
        )["Credentials"]
        return {
            "AccessKeyId": answer["AccessKeyId"],
            "SecretAccessKey": answer["SecretAccessKey"],
            "Token": answer["SessionToken"],
            "Expiration": answer["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "RoleArn": task.task_role,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply("GET")

            def do_PUT(self) -> None:
                self._reply("PUT")

            def _reply(self, method: str) -> None:
                try:
                    status, text = agent._answer(method, self.path, self.headers.get("X-aws-ec2-metadata-token"))
                except (ValueError, IndexError):
                    status, text = HTTPStatus.NOT_FOUND, ""
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the terminal for the rehearsal."""

        return Handler


def _task_metadata(placement: Placement) -> dict[str, Any]:
    task = placement.task
    own = {"NetworkMode": "awsvpc", "IPv4Addresses": [placement.address]}
    network = {"NetworkMode": "host"} if task.host_network else own
    container = {"Name": task.container, "Image": task.image, "Networks": [network]}
    return {"TaskARN": task.task_definition, "Family": task.service, "Containers": [container]}


def _instance_metadata(placement: Placement) -> dict[str, str]:
    known = {"latest/meta-data/local-ipv4": placement.address}
    if placement.task.hosts:
        known["latest/meta-data/instance-id"] = placement.task.hosts[placement.number - 1]
    return known
