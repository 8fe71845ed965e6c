"""Look at a page in a real, headless Chromium, by its DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_SECONDS: Final = 60


class Tab:
    """Hold one page; ``events`` has everything that it told, ``evaluate`` asks it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, itertools.count(1)
        self.events: list[dict[str, Any]] = []

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; raise ``RuntimeError`` where it throws."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the answer to a command, and keep the events that come before it."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message: dict[str, Any] = await self._socket.receive_json(timeout=_SECONDS)
            if message.get("id") == number:
                return message["result"]  # type: ignore[no-any-return]
            self.events.append(message)

    async def until(self, method: str) -> None:
        """Wait for an event."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(await self._socket.receive_json(timeout=_SECONDS))


@asynccontextmanager
async def opened(program: str, profile: Path, url: str) -> AsyncIterator[Tab]:
    """Yield ``url`` in a new browser, loaded."""
    browser = await asyncio.create_subprocess_exec(
        program,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--remote-debugging-port=0",
        "--window-size=1400,1000",
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with aiohttp.ClientSession() as session:
            socket = await _socket(session, browser)
            async with session.ws_connect(socket, max_msg_size=0) as connection:
                tab = Tab(connection)
                for domain in ("Page", "Network", "Runtime", "Log"):
                    await tab.call(f"{domain}.enable")
                await tab.call("Page.navigate", url=url)
                await tab.until("Page.loadEventFired")
                yield tab
    finally:
        browser.terminate()
        await browser.communicate()


async def _socket(session: aiohttp.ClientSession, browser: asyncio.subprocess.Process) -> str:
    """Return where the first tab is asked: the browser tells its port on stderr."""
    assert browser.stderr is not None
    async for line in browser.stderr:
        if (text := line.decode(errors="replace")).startswith("DevTools listening on ws://"):
            host = text.split("/")[2]
            async with session.get(f"http://{host}/json/list") as answer:
                pages = [each for each in await answer.json() if each["type"] == "page"]
                return str(pages[0]["webSocketDebuggerUrl"])
    raise RuntimeError("the browser ended before it listened")
