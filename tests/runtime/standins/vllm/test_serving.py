"""Prefill, hand over and answer with real parts: engine, HTTP, NIXL."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runtime.handoff import fields
from runtime.handoff.kv import digest
from runtime.handoff.seal import Seal
from runtime.handoff.transport.agent import Agent
from runtime.handoff.transport.nixl import NixlAgent
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.sampling import Sampling
from tests.patience import HUNG_SECONDS
from tests.runtime.standins.vllm.conftest import PREFILL, Client, Heartbeats, Start, handshake, read_kv

CHAT = {"model": "org/model", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
LONG = [7] * 8000  # half a minute of prefill
SMALL_POOL = ("--max-model-len=128", "--num-gpu-blocks-override=9")  # eight blocks of 16 tokens


async def test_a_reader_gets_the_very_bytes_of_the_engines_cache(client: Client, engine: Engine, reader: Agent) -> None:
    prompt = engine.tokenizer.encode("A lease ends when it is read. " * 20)
    params = await client.prefill(prompt)
    assert await client.metric("kv_cache_usage_perc") > 0
    received = await read_kv(reader, params, engine)
    expected = engine.new_cache(len(prompt))
    engine.prefill(prompt, expected)
    assert received.nbytes == len(prompt) * 23_040
    assert np.array_equal(received.view(np.uint16), expected[:, :, 0].view(np.uint16))
    await client.until("kv_cache_usage_perc", 0)


async def test_the_answer_of_a_prefill_is_vllms(client: Client, engine: Engine) -> None:
    status, body = await client.post(CHAT | PREFILL | {"stop": ["x"], "stream": False}, **{"X-Request-Id": "r1"})
    assert status == 200
    prompt = engine.tokenizer.chat(CHAT["messages"])  # type: ignore[arg-type]  # the dict holds several types
    cache = engine.new_cache(len(prompt))
    engine.prefill(prompt, cache)
    prefilled = cache.copy()  # sampling computes the last token anew
    first = list(engine.generate(prompt, cache, Sampling(), max_tokens=1))
    assert body["id"] == "chatcmpl-r1"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": engine.tokenizer.decode(first)}
    assert body["usage"] == {"prompt_tokens": len(prompt), "completion_tokens": 1, "total_tokens": len(prompt) + 1}
    params = body[fields.KV_TRANSFER_PARAMS]
    assert fields.missing(params) == []
    seal = Seal.from_params(params.pop(fields.TANDEM)[fields.SEAL], num_tokens=len(prompt))
    assert seal is not None
    digest.verify(prefilled[:, :, 0], seal, 16)
    assert params["remote_request_id"].startswith("chatcmpl-r1-")
    assert len(params["remote_request_id"]) == len("chatcmpl-r1-") + 8
    assert params | {"remote_engine_id": 0, "remote_request_id": 0, "remote_port": 0} == {
        "do_remote_prefill": True,
        "do_remote_decode": False,
        "remote_block_ids": [[1, 2, 3]],
        "remote_engine_id": 0,
        "remote_request_id": 0,
        "remote_host": "127.0.0.1",
        "remote_port": 0,
        "tp_size": 1,
        "dcp_size": 1,
        "pp_size": 1,
        "remote_num_tokens": len(prompt),
        "remote_registration_generation": 0,
        "remote_blocks_expiry_time": None,
        "transfer_mode": "pull",
    }


async def test_blocks_are_freed_when_every_reader_has_notified(client: Client, engine: Engine, reader: Agent) -> None:
    params = await client.prefill([1, 2, 3])
    await read_kv(reader, params, engine, readers=2)
    assert await client.metric("kv_cache_usage_perc") > 0
    other = NixlAgent(f"other-{uuid.uuid4()}")
    try:
        await read_kv(other, params, engine, readers=2)
        await client.until("kv_cache_usage_perc", 0)
    finally:
        other.close()


async def test_an_unread_lease_expires_and_a_late_reader_is_counted(
    start: Start, engine: Engine, reader: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(lease=1) as client:
        params = await client.prefill([1, 2, 3])
        await client.until("nixl_num_kv_expired_reqs_total", 1)
        assert await client.metric("kv_cache_usage_perc") == 0
        await read_kv(reader, params, engine)
        await client.until("nixl_num_notifications_after_expiry_total", 1)
    assert "lease expired unread" in caplog.text
    assert "Potentially invalid KV blocks" in caplog.text


async def test_a_heartbeat_holds_a_lease(
    start: Start, reader: Agent, heartbeats: Heartbeats, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(lease=30) as client:
        held, _ = await client.prefill([1, 2, 3]), await client.prefill([4, 5, 6])
        remote = reader.add_remote((await handshake(held)).metadata.agent_metadata)
        reader.notify(remote, f"HB:another,{held[fields.REMOTE_REQUEST_ID]}".encode())
        heartbeats.now = 29.0
        await polling(reader, heartbeats.heard.is_set)
        heartbeats.now = 31.0
        await client.until("nixl_num_kv_expired_reqs_total", 1)  # the one without a heartbeat
        reader.notify(remote, b"nonsense")
        await polling(reader, lambda: "ignored a notification" in caplog.text)
        reader.notify(remote, f"{held[fields.REMOTE_REQUEST_ID]}:1".encode())
        reader.notifications()
        await client.until("kv_cache_usage_perc", 0)
        assert await client.metric("nixl_num_kv_expired_reqs_total") == 1


async def polling(agent: Agent, done: Callable[[], bool]) -> None:
    """Let an agent's messages leave until they have had their effect."""
    async with asyncio.timeout(HUNG_SECONDS):
        while not done():
            agent.notifications()
            await asyncio.sleep(0.01)


READER = """
    import sys, time
    import numpy as np
    from runtime.handoff.transport.nixl import NixlAgent

    agent = NixlAgent("doomed")
    agent.register(np.zeros(1024, np.uint8))
    remote = agent.add_remote(bytes.fromhex(sys.argv[1]))
    agent.notify(remote, ("HB:" + sys.argv[2]).encode())
    agent.notifications()
    print("ready", flush=True)
    while True:
        agent.notifications()
        time.sleep(0.01)
"""


async def test_a_killed_reader_costs_only_its_lease(start: Start, engine: Engine, reader: Agent) -> None:
    async with start(lease=1) as client:
        params = await client.prefill([1, 2, 3])
        metadata = (await handshake(params)).metadata
        command = ["-c", textwrap.dedent(READER), metadata.agent_metadata.hex(), params[fields.REMOTE_REQUEST_ID]]
        doomed = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=subprocess.PIPE)
        assert doomed.stdout is not None
        while b"ready" not in (line := await doomed.stdout.readline()):
            assert line, "the reader ended"
        doomed.kill()
        await doomed.wait()
        await client.until("nixl_num_kv_expired_reqs_total", 1)
        assert await client.metric("kv_cache_usage_perc") == 0
        await read_kv(reader, await client.prefill([4, 5, 6]), engine)
        await client.until("kv_cache_usage_perc", 0)


async def test_a_client_that_leaves_stops_the_prefill_and_frees_its_blocks(client: Client) -> None:
    request = asyncio.create_task(client.prefill(LONG))
    await client.until("num_requests_running", 1)
    assert await client.metric("kv_cache_usage_perc") > 0
    request.cancel()
    await client.until("num_requests_running", 0)
    assert await client.metric("kv_cache_usage_perc") == 0
    assert await client.metric("prompt_tokens_total") == 0


async def test_a_full_pool_makes_requests_wait_for_a_reader(start: Start, engine: Engine, reader: Agent) -> None:
    async with start(*SMALL_POOL) as client:
        first = await client.prefill([5] * 100)
        second = asyncio.create_task(client.prefill([6] * 100))
        left = asyncio.create_task(client.prefill([7] * 100))
        await client.until("num_requests_waiting", 2)
        left.cancel()
        await client.until("num_requests_waiting", 1)
        await read_kv(reader, first, engine)
        await read_kv(reader, await second, engine)
        await client.until("kv_cache_usage_perc", 0)


async def test_a_plain_request_is_answered_whole_and_in_pieces_alike(client: Client) -> None:
    greedy: dict[str, Any] = CHAT | {"temperature": 0, "max_completion_tokens": 20}
    _, whole = await client.post(greedy)
    text = whole["choices"][0]["message"]["content"]
    assert "Paris" in text
    assert whole["choices"][0]["finish_reason"] == "stop"
    streamed = greedy | {"stream": True, "stream_options": {"include_usage": True}}
    async with client.http.post("/v1/chat/completions", json=streamed) as response:
        assert response.content_type == "text/event-stream"
        events = (await response.text()).removesuffix("\n\n").split("\n\n")
    assert events.pop() == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert chunks[-1]["usage"] == whole["usage"]
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert choices[0]["delta"]["role"] == "assistant"
    assert "".join(choice["delta"].get("content", "") for choice in choices) == text
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert await client.metric("kv_cache_usage_perc") == 0


async def test_a_text_completion(client: Client) -> None:
    body = {"prompt": "The capital of France is", "temperature": 0, "max_tokens": 3}
    status, answer = await client.post(body, path="/v1/completions")
    assert (status, answer["object"], answer["choices"][0]["finish_reason"]) == (200, "text_completion", "length")
    assert "Paris" in answer["choices"][0]["text"]


async def test_a_text_completion_of_which_nothing_is_said_has_sixteen_tokens(client: Client) -> None:
    _, answer = await client.post({"prompt": "One, two, three,", "temperature": 0}, path="/v1/completions")
    assert answer["usage"]["completion_tokens"] == 16


async def test_a_text_is_tokenized_as_its_completion_counts_it(client: Client, engine: Engine) -> None:
    _, told = await client.post({"prompt": "One, two"}, path="/tokenize")
    assert told["tokens"] == engine.tokenizer.encode("One, two")
    assert told["count"] == len(told["tokens"])


async def test_a_client_that_leaves_a_stream_stops_it(client: Client) -> None:
    # so hot that it goes on and on
    asked = CHAT | {"stream": True, "max_tokens": 5000, "temperature": 2, "seed": 1}
    async with client.http.post("/v1/chat/completions", json=asked) as response:
        await response.content.readline()
        await client.until("num_requests_running", 1)
        response.close()
    await client.until("num_requests_running", 0)
    assert await client.metric("kv_cache_usage_perc") == 0


async def test_the_key_guards_all_but_health_and_metrics(client: Client) -> None:
    for wrong in ("", "Bearer other", "Bearer "):
        async with client.http.get("/v1/models", headers={"Authorization": wrong}) as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == 401
        for path in ("/health", "/metrics"):
            async with client.http.get(path, headers={"Authorization": wrong}) as response:
                assert response.status == 200


async def test_models_lists_every_served_name(start: Start) -> None:
    async with (
        start("--served-model-name", "a", "b", "--max-model-len=4096") as client,
        client.http.get("/v1/models") as response,
    ):
        body = await response.json()
    assert [(model["id"], model["root"], model["max_model_len"]) for model in body["data"]] == [
        ("a", "org/model", 4096),
        ("b", "org/model", 4096),
    ]


REFUSED: dict[str, tuple[object, int, str]] = {
    "no JSON": (b"{", 400, "truncated"),
    "no UTF-8": (b'{"model":"\xff"}', 400, "unusable"),
    "no messages": ({"model": "org/model"}, 400, "missing required field `messages`"),
    "messages of a wrong type": (CHAT | {"messages": "hello"}, 400, "Expected `array`, got `str` - at `$.messages`"),
    "an unknown role": (CHAT | {"messages": [{"role": "wizard", "content": "x"}]}, 400, "wizard"),
    "max_tokens of zero": (CHAT | {"max_tokens": 0}, 400, "`int` >= 1"),
    "too hot": (CHAT | {"temperature": 9}, 400, "temperature is 9"),
    "another model": (CHAT | {"model": "gpt"}, 404, "The model `gpt` does not exist."),
    "too much to answer": (CHAT | {"max_tokens": 8192}, 400, "is too large: 8192"),
    "a prefill of many tokens": (CHAT | PREFILL | {"max_tokens": 5}, 400, "needs max_tokens 1"),
    "a streamed prefill": (CHAT | PREFILL | {"stream": True}, 400, "stream false"),
    "tools": (CHAT | {"tools": [{}]}, 400, "tools"),
    "stop strings": (CHAT | {"stop": ["x"]}, 400, "stop not supported"),
    "penalties": (CHAT | {"presence_penalty": 1.0}, 400, "presence_penalty not supported"),
    "a long prompt": (
        CHAT | {"messages": [{"role": "user", "content": "a b " * 5000}]},
        400,
        "maximum context length is",
    ),
}


async def test_bad_bodies_are_refused_in_openais_shape(client: Client) -> None:
    for name, (body, status, reason) in REFUSED.items():
        answered, answer = await client.post(body)
        assert answered == status, name
        assert reason in answer["error"]["message"], name
        assert answer["error"]["code"] == status, name
    assert await client.metric("kv_cache_usage_perc") == 0


@pytest.mark.parametrize("prompt", [[], [-1], [49_152], "", 5, ["a"]])
async def test_bad_prompts_are_refused(client: Client, prompt: object) -> None:
    status, _ = await client.post({"prompt": prompt}, path="/v1/completions")
    assert status == 400


@pytest.mark.parametrize("agent", ["no base64!", "bm8gbWV0YWRhdGE="])
async def test_an_invitation_that_leads_nowhere_costs_nothing(
    client: Client, engine: Engine, reader: Agent, agent: str
) -> None:
    invited = {**fields.PREFILL_REQUEST, fields.TANDEM: {fields.STREAM: {"id": "s", "agent": agent}}}
    body = {"prompt": [1, 2, 3]} | PREFILL | {fields.KV_TRANSFER_PARAMS: invited}
    status, answer = await client.post(body, path="/v1/completions")
    assert status == 200
    await read_kv(reader, answer[fields.KV_TRANSFER_PARAMS], engine)
    await client.until("kv_cache_usage_perc", 0)
