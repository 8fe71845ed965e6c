"""Certificates are made by the real openssl, and trusted alone."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from runtime.handoff import certificate
from runtime.handoff.certificate import Certificate, CertificateError, digest

HOST = "127.0.0.1"


async def shown(served: Certificate, trust: ssl.SSLContext, host: str = HOST) -> bytes:
    """Return the certificate that a server shows to a client that trusts ``trust``."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0, ssl=served.server())
    try:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(HOST, port, ssl=trust, server_hostname=host)
        der: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return der
    finally:
        server.close()


async def test_a_client_trusts_this_certificate_for_this_address_and_no_other() -> None:
    own, other = Certificate.issue(HOST), Certificate.issue(HOST)
    assert digest(await shown(own, own.client())) == own.digest != other.digest
    with pytest.raises(ssl.SSLCertVerificationError):
        await shown(other, own.client())
    with pytest.raises(ssl.SSLCertVerificationError, match=r"10\.0\.0\.1"):
        await shown(own, own.client(), "10.0.0.1")


def test_tls_before_1_2_is_refused() -> None:
    assert Certificate.issue(HOST).server().minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_key_is_in_memory_and_not_in_the_repr() -> None:
    own = Certificate.issue(HOST)
    assert os.readlink(own.path).startswith("/memfd:")
    pem = Path(own.path).read_text()
    assert ("PRIVATE KEY" in pem, "PRIVATE KEY" in own.text, "BEGIN" in repr(own)) == (True, False, False)


def test_without_openssl_or_with_a_wrong_address_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CertificateError, match="openssl made no certificate for no address"):
        Certificate.issue("no address")
    monkeypatch.setattr(certificate, "PROGRAM", "absent-program")
    with pytest.raises(CertificateError, match="absent-program cannot be run"):
        Certificate.issue(HOST)
