"""The program as ECS runs it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import boto3
import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer

from runtime.gateway.access.tenants import Tenant, digest, dump
from runtime.gateway.address import METADATA_VARIABLE, MetadataError, listen_address
from runtime.handoff import settings
from runtime.handoff.contract import CHAT_COMPLETIONS
from tandem.spec.admission import Admission
from tests.patience import HUNG_SECONDS
from tests.ports import free_port
from tests.runtime.gateway.small_tokenizer import FILE
from tests.runtime.gateway.standin_peers import CHUNKS, DecodePeer, serving

ADDRESS = "127.45.6.7"


async def metadata(_: web.Request) -> web.Response:
    return web.json_response({"Containers": [{"Networks": [{"IPv4Addresses": [ADDRESS]}]}]})


async def run(environment: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "runtime.gateway",
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def event(process: asyncio.subprocess.Process, name: str) -> dict[str, Any]:
    """Return the next log line of that name, with a deadline."""
    assert process.stdout is not None
    async with asyncio.timeout(HUNG_SECONDS):
        async for line in process.stdout:
            parsed: dict[str, Any] = json.loads(line)
            if parsed["event"] == name:
                return parsed
    raise AssertionError(f"the process ended without the event {name}")


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """Serve Secrets Manager with the gateway's secrets, and return the environment that names them."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    url = f"http://{host}:{port}"
    options = {name.lower(): value for name, value in access.items()}
    client = boto3.client("secretsmanager", endpoint_url=url, region_name="us-east-2", **options)
    cloud_map = boto3.client("servicediscovery", endpoint_url=url, region_name="us-east-2", **options)
    cloud_map.create_http_namespace(Name="small.internal")
    cloud_map.create_service(Name="gateway", NamespaceId=cloud_map.list_namespaces()["Namespaces"][0]["Id"])
    values = {
        settings.TENANTS_SECRET_ARN: dump([Tenant(id="acme", keys=(digest("key"),))]),
        settings.DECODE_SECRET_ARN: '{"api_key": "secret"}',
    }
    arns = {name: client.create_secret(Name=name, SecretString=value)["ARN"] for name, value in values.items()}
    yield {**access, **arns, "AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-2"}
    server.stop()


@pytest.fixture(scope="module")
def tokenizer(aws: dict[str, str]) -> str:
    """Store the small model's tokenizer, and return where."""
    options = {name.lower(): aws[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    s3 = boto3.client("s3", endpoint_url=aws["AWS_ENDPOINT_URL"], region_name="us-east-2", **options)
    s3.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": "us-east-2"})
    s3.put_object(Bucket="models", Key="small/tokenizer.json", Body=FILE)
    return "s3://models/small/tokenizer.json"


@pytest.fixture
async def decode(aws: dict[str, str]) -> AsyncIterator[tuple[DecodePeer, dict[str, str]]]:
    """Serve a decode endpoint and ECS task metadata, and return the environment that names both."""
    peer = DecodePeer()
    app = peer.application()
    app.router.add_get("/task", metadata)
    async with serving(app) as server:
        url = f"http://127.0.0.1:{server.port}"
        yield (
            peer,
            {
                settings.DEPLOYMENT: "small",
                settings.METRICS_PORT: str(free_port(ADDRESS)),
                settings.GATEWAY_NAMESPACE: "small.internal",
                settings.GATEWAY_SERVICE: "gateway",
                settings.MODEL: "m",
                settings.MAX_MODEL_LEN: "4096",
                settings.ADMISSION: json.dumps({**Admission().model_dump(), "gateways": 1}),
                settings.LISTEN_PORT: str(free_port(ADDRESS)),
                **aws,
                settings.DECODE_PROVIDER: "openai",
                settings.DECODE_ENDPOINTS: url,
                settings.DECODE_MODEL: "other",
                settings.NEW_TOKENS: "2048",
                settings.NEW_SHARE: "0.7",
                METADATA_VARIABLE: url,
            },
        )


async def test_sigterm_lets_a_running_stream_end_and_refuses_new_clients(
    decode: tuple[DecodePeer, dict[str, str]],
) -> None:
    peer, environment = decode
    peer.waits_after_first = True
    process = await run(environment)
    url = f"https://{(await event(process, 'listening'))['address']}"
    assert url == f"https://{ADDRESS}:{environment[settings.LISTEN_PORT]}"
    async with ask(url) as answer:
        assert await answer.content.readany() == CHUNKS[0]
        process.send_signal(signal.SIGTERM)
        await event(process, "stopping")
        with pytest.raises(aiohttp.ClientConnectionError):
            await refused(url)
        with pytest.raises(TimeoutError):  # a stream is running, so the process has to be there for a while
            await asyncio.wait_for(process.wait(), 0.3)
        peer.hold("stream").set()
        assert await answer.content.read() == b"".join(CHUNKS[1:])
    out, error = await asyncio.wait_for(process.communicate(), HUNG_SECONDS)
    assert (process.returncode, error) == (0, b"")
    told = [json.loads(line) for line in out.splitlines()]
    [ended] = [line for line in told if line["event"] == "request"]
    minutes = [line for line in told if line["event"] == "metrics"]
    assert (ended["status"], ended["tenant"]) == (200, "acme")
    assert peer.seen[-1].headers["Authorization"] == "Bearer secret"
    # a minute that ends meanwhile has a document of its own
    assert [sum(each["Invocations"] for each in minutes), minutes[-1]["Deployment"]] == [1, "small"]


async def test_a_client_that_leaves_is_noticed_though_nothing_is_written(
    decode: tuple[DecodePeer, dict[str, str]],
) -> None:
    peer, environment = decode
    peer.waits_after_first = True
    process = await run(environment)
    async with ask(f"https://{(await event(process, 'listening'))['address']}") as answer:
        await answer.content.readany()
        answer.close()
    await peer.wait(lambda: peer.left == ["stream"])
    assert (await event(process, "request"))["code"] == "client_gone"
    process.terminate()
    await asyncio.wait_for(process.communicate(), HUNG_SECONDS)
    assert process.returncode == 0


@pytest.mark.parametrize(("missing", "how"), [("", "bytes"), ("x", "estimate")])
async def test_prompts_are_counted_by_the_tokenizer_that_is_there(
    decode: tuple[DecodePeer, dict[str, str]], tokenizer: str, missing: str, how: str
) -> None:
    source = tokenizer.replace(".json", f"{missing}.json")
    process = await run({**decode[1], settings.TOKENIZER: source})
    told = await event(process, "tokenizer_unusable" if missing else "tokenizer")
    expected = {} if missing else {"sha256": hashlib.sha256(FILE).hexdigest()}
    assert told.items() >= {"source": source, **expected}.items()
    async with ask(f"https://{(await event(process, 'listening'))['address']}") as answer:
        await answer.read()
    assert (await event(process, "request"))["decided"]["prompt_tokens"] == how
    process.terminate()
    await asyncio.wait_for(process.communicate(), HUNG_SECONDS)


@asynccontextmanager
async def ask(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask for a stream."""
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session,
        session.post(url + CHAT_COMPLETIONS, json=asked, ssl=False) as answer,
    ):
        yield answer


async def refused(url: str) -> None:
    """Connect anew until that fails, with a deadline."""
    async with asyncio.timeout(HUNG_SECONDS), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/health", headers={"Connection": "close"}, ssl=False):
                pass


async def test_plain_http_is_not_answered(decode: tuple[DecodePeer, dict[str, str]]) -> None:
    process = await run(decode[1])
    address = (await event(process, "listening"))["address"]
    with pytest.raises(aiohttp.ClientError):
        async with ask(f"http://{address}"):
            pass
    process.terminate()
    await asyncio.wait_for(process.communicate(), HUNG_SECONDS)


async def test_a_missing_variable_is_one_line_and_exit_2(decode: tuple[DecodePeer, dict[str, str]]) -> None:
    process = await run({**decode[1], settings.DECODE_SECRET_ARN: ""})
    out, error = await asyncio.wait_for(process.communicate(), HUNG_SECONDS)
    assert (process.returncode, out) == (2, b"")
    assert error.decode().splitlines() == [
        f"gateway: environment variable {settings.DECODE_SECRET_ARN} is not set: the task definition must supply it"
    ]


async def test_a_secret_that_cannot_be_read_is_one_line_and_exit_1(decode: tuple[DecodePeer, dict[str, str]]) -> None:
    process = await run({**decode[1], settings.TENANTS_SECRET_ARN: "absent"})
    _, error = await asyncio.wait_for(process.communicate(), HUNG_SECONDS)
    assert process.returncode == 1
    [line] = error.decode().splitlines()
    assert line.startswith("gateway: secret absent cannot be read")


async def test_a_port_in_use_is_one_line_and_exit_1(decode: tuple[DecodePeer, dict[str, str]]) -> None:
    with socket.create_server((ADDRESS, int(decode[1][settings.LISTEN_PORT]))):
        process = await run(decode[1])
        _, error = await asyncio.wait_for(process.communicate(), HUNG_SECONDS)
    assert process.returncode == 1
    assert len(error.decode().splitlines()) == 1


def test_outside_ecs_every_address_is_listened_on() -> None:
    assert listen_address({}) == "0.0.0.0"  # noqa: S104 - the documented default


async def test_metadata_without_an_address_is_an_error(decode: tuple[DecodePeer, dict[str, str]]) -> None:
    broken = {METADATA_VARIABLE: decode[1][settings.DECODE_ENDPOINTS] + "/nothing"}
    with pytest.raises(MetadataError, match="no address in ECS task metadata"):
        await asyncio.to_thread(listen_address, broken)
