"""The interface of every provider."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from runtime.gateway.chat import Chat
from runtime.gateway.phases import Phases
from runtime.gateway.upstream import Response


class Provider(Protocol):
    """Have a request prefilled and decoded by peers."""

    @property
    def lack(self) -> str | None:
        """What is missing before requests can be served, or None."""

    def answer(self, chat: Chat, phases: Phases) -> AbstractAsyncContextManager[Response]:
        """Yield the decode peer's answer, of status 200; raise ``HandoffError`` or ``PeerError`` before that.

        Leaving the context, at whatever point and for whatever reason, frees what the request holds at each peer.
        """
