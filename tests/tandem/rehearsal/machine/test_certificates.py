"""Programs check the certificates of a rehearsal as strictly as those of production."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from tandem.rehearsal.machine.certificates import Certificate, issue
from tests.patience import HUNG_SECONDS

HOST = "cs3.example.com"


def shake_hands(server: Certificate, authority: Path, host: str) -> str | None:
    """Return the subject's alternative name as a strict client sees it; raise what the client raises."""
    accepting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    accepting.load_cert_chain(server.certificate, server.key)
    trusting = ssl.create_default_context(cafile=str(authority))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    ours.settimeout(HUNG_SECONDS)
    theirs.settimeout(HUNG_SECONDS)
    serving = threading.Thread(target=_serve, args=(accepting, theirs))
    serving.start()
    try:
        with ours, trusting.wrap_socket(ours, server_hostname=host) as secured:
            certificate = secured.getpeercert()
            assert certificate is not None
            return dict(certificate["subjectAltName"])["DNS"]  # type: ignore[arg-type]  # typeshed's union is wider
    finally:
        serving.join(HUNG_SECONDS)


def _serve(context: ssl.SSLContext, connection: socket.socket) -> None:
    with connection:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except (ssl.SSLError, ConnectionError):
            return  # the client says why


@pytest.mark.parametrize("host", [HOST, "decode." + "a" * 60 + ".inference.example.com"])
def test_a_strict_client_accepts_it(tmp_path: Path, host: str) -> None:
    files = issue(tmp_path / "certificates", host)
    assert shake_hands(files, files.authority, host) == host


def test_a_client_refuses_it_for_another_host(tmp_path: Path) -> None:
    files = issue(tmp_path, HOST)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(files, files.authority, "other.example.com")


def test_a_client_of_another_rehearsal_refuses_it(tmp_path: Path) -> None:
    files, other = issue(tmp_path / "one", HOST), issue(tmp_path / "other", HOST)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        shake_hands(files, other.authority, HOST)


def test_a_client_that_trusts_the_public_authorities_refuses_it(tmp_path: Path) -> None:
    files = issue(tmp_path, HOST)
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        shake_hands(files, files.certificate, HOST)


def test_only_its_owner_can_read_the_key(tmp_path: Path) -> None:
    assert issue(tmp_path, HOST).key.stat().st_mode & 0o077 == 0
