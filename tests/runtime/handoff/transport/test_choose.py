"""Whoever asked for EFA does not get TCP."""

from __future__ import annotations

import sys
from itertools import product

import pytest

from runtime.handoff import settings
from runtime.handoff.contract import HandoffError
from runtime.handoff.transport.choose import PROVIDERS, Transport, asked, require, start
from runtime.handoff.transport.nixl import NixlAgent


@pytest.mark.parametrize(("transport", "provider"), list(product(Transport, [*PROVIDERS.values(), "libfabric-other"])))
def test_a_transport_goes_by_its_own_provider_only(transport: Transport, provider: str) -> None:
    if provider == PROVIDERS[transport]:
        require(transport, provider)
        return
    with pytest.raises(
        HandoffError, match=f"transport {transport} goes by {provider}, needed is {PROVIDERS[transport]}"
    ):
        require(transport, provider)


def test_an_agent_of_another_provider_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    def note(agent: NixlAgent) -> None:
        closed.append(agent.name)
        close(agent)

    monkeypatch.setenv("UCX_NET_DEVICES", "lo")
    monkeypatch.setattr(NixlAgent, "provider", "libfabric-other")
    close = NixlAgent.close
    monkeypatch.setattr(NixlAgent, "close", note)
    with pytest.raises(HandoffError, match="goes by libfabric-other"):
        start(Transport.UCX, "lost", host="127.0.0.1")
    assert closed == ["lost"]


def test_without_nixl_there_is_tcp_and_a_clear_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "runtime.handoff.transport.nixl")
    monkeypatch.setitem(sys.modules, "nixl_cu12", None)
    with pytest.raises(HandoffError, match="needs NIXL, which is not installed here"):
        start(Transport.LIBFABRIC, "a", host="127.0.0.1")
    start(Transport.TCP, "a", host="127.0.0.1").close()


def test_a_transport_is_asked_for_by_name() -> None:
    assert asked({}) is Transport.UCX
    assert asked({settings.TRANSPORT: "TCP"}) is Transport.TCP
    with pytest.raises(settings.SettingError, match="is 'tcp', allowed: UCX, LIBFABRIC, TCP"):
        asked({settings.TRANSPORT: "tcp"})
