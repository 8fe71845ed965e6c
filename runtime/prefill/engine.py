"""Ask vLLM's own HTTP server whether it serves, and what it still holds."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Final

_PROBE_SECONDS: Final = 10.0
_HELD: Final = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")
"""vLLM's gauges of requests under way and of KV blocks in use, those held for a reader among them."""


class EngineError(RuntimeError):
    """Tell what vLLM did not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """Reach one vLLM server by its address; ``model`` is the name that it serves."""

    url: str
    model: str
    key: str = field(repr=False)
    trust: ssl.SSLContext

    @classmethod
    def of(cls, arguments: Sequence[str], address: str, key: str, trust: ssl.SSLContext) -> Engine:
        """Read port and name from vLLM's own arguments, with vLLM's defaults; ``trust`` is of vLLM's certificate."""
        given = dict(argument.split("=", 1) for argument in arguments if argument.startswith("--") and "=" in argument)
        port = given.get("--port", "8000")
        return cls(
            url=f"https://{address}:{port}", model=given.get("--served-model-name", arguments[1]), key=key, trust=trust
        )

    async def healthy(self) -> bool:
        """Tell whether the server answers and its engine lives."""
        try:
            await asyncio.to_thread(self._ask, "/health", None, _PROBE_SECONDS)
        except EngineError:
            return False
        return True

    async def answer(self, seconds: float) -> None:
        """Have one token generated, which proves more than a server that listens; raise ``EngineError``."""
        body = {"model": self.model, "messages": [{"role": "user", "content": "ready?"}], "max_tokens": 1}
        await asyncio.to_thread(self._ask, "/v1/chat/completions", json.dumps(body).encode(), seconds)

    async def held(self) -> dict[str, float]:
        """Return requests under way and the share of KV blocks in use, by metric; raise ``EngineError``."""
        text = await self.exposition()
        held = {}
        for name in _HELD:
            values = re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, flags=re.MULTILINE)
            if not values:
                raise EngineError(f"{name} is not among the metrics of {self.url}")
            held[name] = sum(map(float, values))
        return held

    async def exposition(self) -> str:
        """Return vLLM's metrics in Prometheus's text format; raise ``EngineError``."""
        return await asyncio.to_thread(self._ask, "/metrics", None, _PROBE_SECONDS)

    def _ask(self, path: str, body: bytes | None, seconds: float) -> str:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310 - the worker's own server
        direct = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.trust)
        )
        try:
            with direct.open(request, timeout=seconds) as answer:
                content: bytes = answer.read()
                return content.decode()
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace")
            raise EngineError(f"{self.url}{path}: HTTP {error.code} {said}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise EngineError(f"{self.url}{path}: {type(error).__name__}: {error}") from error
