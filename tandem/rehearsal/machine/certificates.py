"""Make a certificate authority for the rehearsal's HTTPS endpoints; it lives as long as the work folder."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFE = datetime.timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Name the files of a server's certificate and key, and of the authority that signed it."""

    certificate: Path
    key: Path
    authority: Path


def issue(folder: Path, *hosts: str) -> Certificate:
    """Write an authority and a certificate for ``hosts`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Certificate(folder / f"{hosts[0]}.pem", folder / f"{hosts[0]}.key", folder / "authority.pem")
    root_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name = _name("Tandem rehearsal")
    root_builder = _builder(root_name, root_name, root_key).add_extension(x509.BasicConstraints(True, 0), True)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    root = root_builder.add_extension(usage, True).add_extension(identifier, False).sign(root_key, hashes.SHA256())
    server = _builder(_name("Tandem rehearsal endpoint"), root_name, server_key)  # a host may be too long for a name
    server = server.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    server = server.add_extension(issuer, False)
    files.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(server.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    files.key.touch(mode=0o600)
    files.key.write_bytes(_pem(server_key))
    return files


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
