"""Make a certificate for a server of our own: no authority signs it, and nobody trusts it but by its digest.

Made by the ``openssl`` program, since Python's standard library makes none, and kept in memory: no disk sees the key,
and the root file system may be read-only. Both images are built only where the program is in them.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import subprocess
from dataclasses import dataclass, field
from typing import Final, Self

PROGRAM: Final = "openssl"
_DAYS: Final = 3650
"""Far beyond a process's life, with which its certificate ends: whoever trusts it asks anew every few seconds."""
_SECONDS: Final = 30.0


class CertificateError(RuntimeError):
    """Tell why no certificate could be made."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Hold a certificate: ``path`` names key and certificate (PEM, in memory) as long as this process lives."""

    path: str
    text: str = field(repr=False)
    """The certificate alone, in PEM."""

    @classmethod
    def issue(cls, address: str) -> Self:
        """Make a P-256 key and a certificate for an IP address; raise ``CertificateError``."""
        pem = _openssl(address)
        begin = pem.find("-----BEGIN CERTIFICATE-----")
        if begin < 0:
            raise CertificateError(f"{PROGRAM} made no certificate for {address}")
        memory = os.memfd_create("certificate")
        with os.fdopen(os.dup(memory), "w", encoding="ascii") as file:
            file.write(pem)
        return cls(f"/proc/{os.getpid()}/fd/{memory}", pem[begin:])

    @property
    def digest(self) -> str:
        """The SHA-256 of the certificate, in hexadecimal."""
        return digest(ssl.PEM_cert_to_DER_cert(self.text))

    def server(self) -> ssl.SSLContext:
        """Return what a server listens with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.path)
        return context

    def client(self) -> ssl.SSLContext:
        """Return what trusts this certificate and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=self.text)
        return context


def digest(der: bytes) -> str:
    """Return the SHA-256 of a certificate in DER, in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def _openssl(address: str) -> str:
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(_DAYS)]
    named = ["-subj", f"/CN={address}", "-addext", f"subjectAltName=IP:{address}"]
    # the image's own configuration could add extensions, or lack what this needs
    command = [PROGRAM, "req", "-config", os.devnull, "-x509", *made, *named, "-keyout", "-", "-out", "-"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise CertificateError(f"{PROGRAM} made no certificate for {address}: {error.stderr[-300:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CertificateError(f"{PROGRAM} cannot be run: {error}") from error
    return done.stdout
