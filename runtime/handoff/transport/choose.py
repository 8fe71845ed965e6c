"""Start the transport that was asked for, and never another one in its place."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from runtime.handoff import settings
from runtime.handoff.contract import Code, HandoffError
from runtime.handoff.transport.agent import Agent
from runtime.handoff.transport.tcp.agent import TcpAgent


class Transport(StrEnum):
    """Enumerate the transports: NIXL with its backend UCX or LIBFABRIC (EFA), or plain TCP of our own."""

    UCX = "UCX"
    LIBFABRIC = "LIBFABRIC"
    TCP = "TCP"


PROVIDERS: Final = {Transport.UCX: "ucx", Transport.LIBFABRIC: "efa", Transport.TCP: "tcp"}
"""What each must be found to go by; LIBFABRIC without EFA takes TCP, and only latency would tell."""


def asked(environment: Mapping[str, str]) -> Transport:
    """Return the transport that ``settings.TRANSPORT`` names; raise ``SettingError`` where none is called so."""
    name = environment.get(settings.TRANSPORT, Transport.UCX)
    try:
        return Transport(name)
    except ValueError as error:
        raise settings.SettingError(
            f"environment variable {settings.TRANSPORT} is {name!r}, allowed: {', '.join(Transport)}"
        ) from error


def start(transport: Transport, name: str, *, host: str) -> Agent:
    """Return a running agent; ``host`` is the address that TCP listens on.

    Raises ``HandoffError`` (``kv_transfer``) where it cannot run here, or goes by another provider than its own.
    """
    agent = TcpAgent(name, host=host) if transport is Transport.TCP else _nixl(transport, name)
    try:
        require(transport, agent.provider)
    except HandoffError:
        agent.close()
        raise
    return agent


def require(transport: Transport, provider: str) -> None:
    """Raise ``HandoffError`` unless ``provider``, read back from the running agent, is the transport's own."""
    if provider != PROVIDERS[transport]:
        raise HandoffError(
            Code.KV_TRANSFER,
            f"transport {transport} goes by {provider}, needed is {PROVIDERS[transport]}: check FI_PROVIDER, the EFA "
            f"devices and the security group, or ask for one of {', '.join(Transport)} that is meant to do without",
        )


def _nixl(transport: Transport, name: str) -> Agent:
    try:
        from runtime.handoff.transport.nixl import NixlAgent  # a machine without its wheel still has TCP
    except ImportError as error:
        raise HandoffError(
            Code.KV_TRANSFER, f"transport {transport} needs NIXL, which is not installed here ({error}): or ask for TCP"
        ) from error
    return NixlAgent(name, backend=transport.value)
