"""An endpoint elsewhere is trusted by an authority, a name and a date, as any HTTPS server is."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest

from runtime.gateway.http.client import HttpClient
from runtime.gateway.peers.upstream import NotSentError
from runtime.handoff.certificate import Certificate
from runtime.handoff.contract import CHAT_COMPLETIONS
from tandem.rehearsal.machine import certificates
from tests.runtime.gateway.standin_peers import HOST, DecodePeer, serving


class Issued(Certificate):
    """Serve with files of an authority's making."""

    __slots__ = ("files",)
    files: certificates.Certificate

    def server(self) -> ssl.SSLContext:
        """Return what a server listens with."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.files.certificate, self.files.key)
        return context


async def ask(folder: Path, name: str = "localhost") -> list[str]:
    """Ask an endpoint whose authority is trusted; return what it saw."""
    issued, peer = Issued("", ""), DecodePeer()
    object.__setattr__(issued, "files", certificates.issue(folder, name))
    trusting = ssl.create_default_context(cafile=issued.files.authority)
    client = HttpClient(trusting)
    try:
        async with serving(peer.application(), issued) as server:
            url = f"https://localhost:{server.port}{CHAT_COMPLETIONS}"
            with await client.ask("POST", url, headers={}, body=b"{}") as response:
                await response.head()
                await response.read()
    finally:
        await client.close()
    return peer.calls()


async def test_a_certificate_of_a_trusted_authority_is_taken(tmp_path: Path) -> None:
    assert await ask(tmp_path) == [f"POST {CHAT_COMPLETIONS}"]


async def test_one_that_has_expired_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    past = SimpleNamespace(now=lambda tz: datetime.datetime(2020, 1, 1, tzinfo=tz))
    # the name in that module, not the class itself, which others use meanwhile
    monkeypatch.setattr(certificates, "datetime", SimpleNamespace(UTC=datetime.UTC, datetime=past))
    with pytest.raises(NotSentError, match="certificate has expired"):
        await ask(tmp_path)


async def test_one_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotSentError, match="mismatch"):
        await ask(tmp_path, "other.example.com")


async def test_one_that_was_made_by_itself_is_refused() -> None:
    peer, client = DecodePeer(), HttpClient()
    async with serving(peer.application(), Certificate.issue(HOST)) as server:
        with pytest.raises(NotSentError, match="certificate"):
            await client.ask("POST", f"https://{HOST}:{server.port}/", headers={}, body=b"{}")
    await client.close()
    assert peer.seen == []
