"""The served document is true: of its routes, of its codes, and of whatever is asked by it or against it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import validate
from schemathesis import Case
from schemathesis.checks import CHECKS

from runtime.gateway.api.bedrock.fault import FAULTS
from runtime.gateway.api.guard import OPENAPI
from runtime.gateway.api.http_server import DOCUMENT as FILE
from runtime.handoff.contract import STATUS, Code
from tests.patience import HUNG_SECONDS
from tests.runtime.gateway.conftest import GATEWAY_KEY, MODEL, Setup, starting
from tests.runtime.gateway.standin_peers import COMPLETION

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())
CHATS = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve a gateway from a loop of its own, since schemathesis asks from outside of any."""
    serving: Future[tuple[str, asyncio.Event, asyncio.AbstractEventLoop]] = Future()

    async def serve() -> None:
        async with starting() as start:
            setup: Setup = await start("cs3")
            setup.decode.completion = {**COMPLETION, "usage": CHATS}
            ended = asyncio.Event()
            serving.set_result((setup.url, ended, asyncio.get_running_loop()))
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    address, ended, loop = serving.result(HUNG_SECONDS)
    yield address
    loop.call_soon_threadsafe(ended.set)
    thread.join(HUNG_SECONDS)


@SCHEMA.parametrize()
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case: Case[Any], url: str) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
        case.body["model"] = MODEL  # any other is refused at once
    at_bedrock = "modelId" in case.path_parameters
    if at_bedrock:
        case.path_parameters["modelId"] = quote(MODEL, safe="")
    key = {"Authorization": f"Bearer {GATEWAY_KEY}"}
    response = case.call(base_url=url, headers=key, timeout=HUNG_SECONDS)
    # what fits the context, or can be gone on with, no document knows; what Bedrock accepts stands in botocore's own,
    # which its tests use
    unknown = any(said in response.content for said in (b'"context_length_exceeded"', b"cannot be continued exactly"))
    left_out: Any = [CHECKS.get_one("positive_data_acceptance")] if at_bedrock or unknown else []
    case.validate_response(response, excluded_checks=left_out, headers=key)


def test_is_valid_openapi() -> None:
    validate(DOCUMENT)


async def test_is_served_to_everybody_as_it_is(cs3: Setup) -> None:
    async with cs3.session.get(cs3.url + OPENAPI) as answer:
        assert (answer.status, await answer.json()) == (200, DOCUMENT)


def test_has_the_routes_that_are_served_and_no_other(cs3: Setup) -> None:
    named = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"
    }
    assert cs3.routes == {(method, re.sub(r"\{modelId\}", "{model}", path)) for method, path in named}


def codes(path: str) -> set[tuple[int, str]]:
    """Return status and code of each answer to POST that the document names."""
    answers = DOCUMENT["paths"][path]["post"]["responses"]
    return {
        (int(status), code) for status in answers for code in re.findall(r"`(\w+)`", answers[status]["description"])
    }


def test_knows_every_code_where_it_belongs() -> None:
    assert DOCUMENT["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"] == list(Code)
    for path in ("/v1/chat/completions", "/v1/completions"):
        assert {(STATUS[code], code.value) for code in Code} <= codes(path)
    for operation in ("converse", "converse-stream", "invoke", "invoke-with-response-stream"):
        assert {(fault.status, fault.name) for fault in FAULTS.values()} <= codes(f"/model/{{modelId}}/{operation}")
