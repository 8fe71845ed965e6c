"""Relay two legs by FastAPI and httpx, as today's examples do: prefill with one token, then stream the decode leg.

The shape of vLLM's own example of a disaggregated proxy; run by its own environment: ``fastapi_httpx.py PORT PEERS``.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

PATH = "/v1/chat/completions"


def application(peers: int) -> Any:
    """Return the proxy of the decode endpoint at port ``peers`` and the prefill worker at the next."""
    app = FastAPI()
    client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None), trust_env=False)  # noqa: S113 - streams

    async def answer(request: Request) -> Response:
        body = await request.json()
        first = {**body, "stream": False, "max_tokens": 1, "kv_transfer_params": {"do_remote_decode": True}}
        prefilled = await client.post(f"http://127.0.0.1:{peers + 1}{PATH}", json=first)
        asked = {**body, "kv_transfer_params": prefilled.json()["kv_transfer_params"]}
        url = f"http://127.0.0.1:{peers}{PATH}"
        if not body.get("stream"):
            whole = await client.post(url, json=asked)
            return Response(whole.content, media_type="application/json")

        async def chunks() -> AsyncIterator[bytes]:
            async with client.stream("POST", url, json=asked) as response:
                async for chunk in response.aiter_bytes():
                    yield chunk

        return StreamingResponse(chunks(), media_type="text/event-stream")

    app.add_api_route(PATH, answer, methods=["POST"], response_model=None)
    return app


if __name__ == "__main__":
    uvicorn.run(application(int(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
