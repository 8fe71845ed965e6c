"""The two providers that are deployable today."""

from __future__ import annotations

from typing import Any

from runtime.handoff import fields
from runtime.handoff.contract import CHAT_COMPLETIONS
from tests.runtime.gateway.conftest import MODEL
from tests.runtime.gateway.standin_peers import CHUNKS, COMPLETION, WORKER_KEY


async def test_vllm_gets_the_worker_s_parameters_as_they_are(start: Any) -> None:
    setup = await start("vllm")
    async with setup.ask(stream=True) as answer:
        assert await answer.read() == b"".join(CHUNKS)
    params = setup.decode.body(CHAT_COMPLETIONS)[fields.KV_TRANSFER_PARAMS]
    assert fields.missing(params) == []
    assert fields.TANDEM not in params
    assert setup.decode.calls() == [f"POST {CHAT_COMPLETIONS}"]
    assert setup.decode.seen[0].headers["Authorization"] == f"Bearer {WORKER_KEY}"
    assert setup.prefill.seen[0].headers["Authorization"] == f"Bearer {WORKER_KEY}"


async def test_openai_gets_the_request_under_its_own_model_name_and_no_handoff_field(start: Any) -> None:
    setup = await start("openai")
    async with setup.ask(n=2, kv_transfer_params={"x": 1}) as answer:
        assert await answer.json() == COMPLETION
    assert setup.decode.body(CHAT_COMPLETIONS) == {
        "model": "other-name",
        "messages": [{"role": "user", "content": "Hello"}],
        "n": 2,
    }
    assert setup.prefill.calls() == []
    assert MODEL not in str(setup.decode.seen[0].body)
