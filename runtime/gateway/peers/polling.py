"""Ask again and again in a thread, off the request path."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_JOIN_SECONDS: Final = 10.0


@contextmanager
def polling(name: str, refresh: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call ``refresh`` at once and then every few seconds during the block; it must log its own failures.

    Leaving waits for a call under way.
    """
    stopped = threading.Event()

    def run() -> None:
        refresh()
        while not stopped.wait(seconds):
            refresh()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(_JOIN_SECONDS)
