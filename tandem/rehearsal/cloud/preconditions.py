"""Put into the embedded account what an account already holds before a deployment that refers to it.

AWS's public parameters, as that of the ECS-optimized Neuron AMI, moto holds itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.acm.models import CertBundle, acm_backends

from tandem.rehearsal.cloud.api import Api


def certificate(arn: str, domain: str) -> None:
    """Have an issued ACM certificate for ``domain`` under ``arn``; its key is made here and trusted by nobody.

    One that is there already stays. Raises ``ValueError`` for an ARN of another service.
    """
    _, _, service, region, account, *_ = arn.split(":")
    if service != "acm":
        raise ValueError(f"certificate_arn must be of acm, got {arn!r}")
    certificates = acm_backends[account][region]._certificates  # ACM chooses ARNs itself: its API takes none
    if arn not in certificates:
        issued, key = _self_signed(domain)
        bundle = CertBundle(account_id=account, certificate=issued, private_key=key, region=region)
        bundle.arn = arn
        certificates[arn] = bundle


def weights(api: Api, uri: str) -> None:
    """Have the bucket of ``s3://bucket/prefix`` with one small file below the prefix; engines here bring theirs."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    s3 = api.client("s3")
    # S3 refuses the name of its first region
    place = {} if api.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": api.region}}
    s3.create_bucket(Bucket=bucket, **place)
    s3.put_object(Bucket=bucket, Key=f"{prefix}/config.json", Body=b"{}")


def _self_signed(domain: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, domain)]), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=30))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
    issued = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return issued, key.private_bytes(serialization.Encoding.PEM, *secret)
