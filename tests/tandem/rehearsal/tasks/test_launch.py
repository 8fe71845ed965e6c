"""A started task has what its image, its task definition and this machine say, and nothing of the operator's."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from constructs.gateway.collector import IMAGE as COLLECTOR
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.images import Image, ImageError, new_rootfs, save
from tandem.rehearsal.machine.addresses import AddressError, Addresses
from tandem.rehearsal.machine.machine import Machine
from tandem.rehearsal.machine.processes import Process, Processes
from tandem.rehearsal.tasks import launch
from tandem.rehearsal.tasks.agent import HostAgent, Placement
from tandem.rehearsal.tasks.launch import Launcher, healthy, listening
from tandem.rehearsal.tasks.task import Sidecar, Task
from tests.patience import HUNG_SECONDS
from tests.ports import free_port

ROOT = Path(__file__).parents[4]
SHOW = "import os, sys; print(repr((dict(os.environ), os.getcwd(), sys.argv[1:])))"
LIBRARY = "public.ecr.aws/docker/library/python:3.13-slim"


@dataclass(frozen=True)
class Host(Launcher):
    """Start tasks, and read what they print."""

    def begin(self, task: Task, number: int = 1) -> tuple[Placement, Process]:
        """Place and start ``task``."""
        placement = self.place(task, number)
        return placement, self.start(placement)

    def run(self, task: Task) -> tuple[dict[str, str], str, list[str]]:
        """Start ``task``, whose image shows what it got; return its environment, folder and arguments."""
        _, process = self.begin(task)
        assert process.popen.wait(HUNG_SECONDS) == 0, process.log.read_text()
        environment, folder, arguments = ast.literal_eval(process.log.read_text())
        return environment, folder, arguments


@pytest.fixture
def host(aws: Api, agent: HostAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the operator's")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    machine = Machine(root=ROOT, work=tmp_path, endpoint=aws.endpoint, region=aws.region)
    with Processes(tmp_path / "logs") as processes:
        yield Host(aws, machine, Addresses(machine.hosts_file), agent, processes)


def build(work: Path, tag: str, cmd: tuple[str, ...] = ("default",)) -> None:
    """Save an image that shows what it got."""
    image = Image(
        base=LIBRARY,
        rootfs=new_rootfs(work / "images", tag),
        workdir="/app",
        env={"FROM_IMAGE": "1", "TANDEM_MODEL": "the image's", "HOME": "/root"},
        entrypoint=("python3", "-c", SHOW),
        cmd=cmd,
    )
    (image.rootfs / "app").mkdir()
    save(work / "images", tag, image)


def test_a_task_has_exactly_what_it_was_given(host: Host, gateway: Placement) -> None:
    task, work = gateway.task, host.machine.work
    build(work, task.image)
    environment, folder, arguments = host.run(task)
    metadata = environment.pop("ECS_CONTAINER_METADATA_URI_V4")
    assert environment.pop("AWS_CONTAINER_CREDENTIALS_FULL_URI") == f"{metadata}/credentials"
    programs, _, path = environment.pop("PATH").partition(":")
    assert (Path(programs).parent, path) == (work / "programs", os.environ["PATH"])
    machine = host.machine.environment()
    del machine["PATH"]
    region = {"AWS_REGION": "us-east-2", "AWS_DEFAULT_REGION": "us-east-2"}
    secrets = {"KEY": "k", "NUMBER": "7", "WHOLE": '{"api_key": "k", "number": 7}'}
    environment = {name: value for name, value in environment.items() if name not in ("LC_CTYPE", "PWD", "SHLVL", "_")}
    assert environment == {"FROM_IMAGE": "1", "TANDEM_MODEL": "m", **secrets, **machine, **region}
    assert folder == str(work / "images" / "example.com%2Fgateway%3A1" / "rootfs" / "app")
    assert arguments == ["default"]


def test_the_tasks_command_replaces_the_images(host: Host, worker: Placement) -> None:
    build(host.machine.work, worker.task.image)
    environment, _, arguments = host.run(worker.task)
    assert arguments == ["serve", "m"]
    assert "AWS_EC2_METADATA_SERVICE_ENDPOINT" in environment
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" not in environment, "this task has no role"


def test_a_task_has_the_devices_that_its_definition_maps_and_no_others(host: Host, worker: Placement) -> None:
    build(host.machine.work, worker.task.image)
    host.run(replace(worker.task, devices=("/dev/left/over",)))
    root = Path(host.run(worker.task)[0]["TANDEM_HOST_ROOT"])
    assert [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()] == ["dev/neuron0"]


def test_each_task_of_a_service_has_its_own_log_devices_and_host(host: Host, worker: Placement) -> None:
    build(host.machine.work, worker.task.image)
    task = replace(worker.task, hosts=("i-1", "i-2"))
    started = [host.begin(task, number) for number in (1, 2)]
    for _, process in started:
        assert process.popen.wait(HUNG_SECONDS) == 0
    assert [process.log.name for _, process in started] == ["worker.log", "worker-2.log"]
    roots = [ast.literal_eval(process.log.read_text())[0]["TANDEM_HOST_ROOT"] for _, process in started]
    assert [Path(root).name for root in roots] == ["worker", "worker-2"]
    assert len({placement.address for placement, _ in started}) == 2


def test_the_machine_lends_network_and_trust_but_no_credentials(host: Host) -> None:
    environment = host.machine.environment()
    assert not {name for name in environment if "KEY" in name or "PROXY" in name.upper()}
    assert environment["AWS_ENDPOINT_URL"] == host.aws.endpoint
    assert Path(environment["PYTHONPATH"], "sitecustomize.py").is_file()
    assert environment["TANDEM_REHEARSAL_PID"] == str(os.getpid())
    assert environment["TANDEM_REHEARSAL_HOSTS"] == str(host.machine.hosts_file)


def test_a_task_without_an_image_is_refused(host: Host, gateway: Placement) -> None:
    with pytest.raises(ImageError, match=r"there is no image example\.com/gateway:1"):
        host.begin(gateway.task)


def test_a_port_in_use_is_refused(host: Host, gateway: Placement) -> None:
    build(host.machine.work, gateway.task.image)
    with socket.create_server((_next_address(host), 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressError, match=f"port {port} for gateway is in use"):
            host.begin(replace(gateway.task, ports=(port,)))
    assert host.processes.running == []


def test_a_sidecar_is_reached_by_the_name_of_the_loopback_interface_at_an_address_of_its_own(
    host: Host, gateway: Placement
) -> None:
    build(host.machine.work, gateway.task.image)
    sidecar = Sidecar(container="collector", image=COLLECTOR, command=("--config=x",))
    host.begin(replace(gateway.task, sidecars=(sidecar,)))
    [collector] = [each for each in host.processes.running if each.name.endswith("-collector")]
    (address, port), *_ = json.loads(host.machine.hosts_file.read_text()).values()
    host.processes.wait_ready(collector, lambda: listening(address, port), HUNG_SECONDS)
    asking = [
        sys.executable,
        "-c",
        f"import socket; print(socket.create_connection(('localhost', {port})).getpeername())",
    ]
    told = subprocess.check_output(asking, env=host.machine.environment(), text=True)
    assert ast.literal_eval(told) == (address, port)
    assert address != "127.0.0.1", "another rehearsal has a collector as well"


def _next_address(host: Host) -> str:
    prefix, _, last = host.addresses.take().rpartition(".")
    return f"{prefix}.{int(last) + 1}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_healthy_is_a_status_below_400_past_any_proxy(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "_PROBE_SECONDS", HUNG_SECONDS)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    answers = {status: healthy(f"http://127.0.0.1:{port}/{status}") for status in (200, 204, 404, 503)}
    assert answers == {200: True, 204: True, 404: False, 503: False}


@pytest.mark.parametrize("reply", [b"SSH-2.0\r\n", b""])
def test_what_speaks_no_http_is_not_healthy(reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        assert not healthy(f"http://127.0.0.1:{listener.getsockname()[1]}/health")
        thread.join()


def test_listening_is_accepting_connections() -> None:
    taken = free_port()
    with socket.create_server(("127.0.0.1", taken)):
        assert listening("127.0.0.1", taken)
    assert not listening("127.0.0.1", taken)
    assert not healthy(f"http://127.0.0.1:{taken}/health")


def test_python_in_a_task_is_this_one(host: Host, gateway: Placement) -> None:
    build(host.machine.work, gateway.task.image, cmd=())
    environment, _, _ = host.run(gateway.task)
    shim = Path(environment["PATH"].partition(":")[0], "python3").read_text()
    assert sys.executable in shim
