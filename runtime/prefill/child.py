"""End a child process, and wait for whichever of several things comes first."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from typing import Any, Final

_SIGNAL_BASE: Final = 128


async def end(process: Process, kill_seconds: float, say: Callable[[str], None]) -> int:
    """Stop ``process`` by SIGTERM, after ``kill_seconds`` by SIGKILL; return its status, 128 + n for signal n."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        await first(process.wait(), asyncio.sleep(kill_seconds))
    if process.returncode is None:
        say(f"vLLM is killed: it has not ended {kill_seconds:.0f} s after SIGTERM")
        process.kill()
    code = await process.wait()
    return code if code >= 0 else _SIGNAL_BASE - code


async def first(*awaited: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> None:
    """Return when one has ended, and cancel the others."""
    tasks = [asyncio.ensure_future(each) for each in awaited]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
