"""Put into the embedded account what an account already holds before a deployment that refers to it.

AWS's public parameters, as that of the ECS-optimized Neuron AMI, moto holds itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.acm.models import CertBundle, acm_backends

from runtime.standins.engine import model_file
from runtime.standins.engine.gguf_file import GgufFile
from runtime.standins.engine.tokenizer import Tokenizer
from tandem.rehearsal.cloud.api import Api
from tandem.spec.model import Model


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


def model(api: Api, described: Model) -> None:
    """Have the objects that a deployment names of its model: engines here bring weights and tokenizer of their own."""
    if described.weights:
        _store(api, f"{described.weights}/config.json", b"{}")
    if described.tokenizer_file:
        small = Tokenizer.from_metadata(GgufFile(model_file.locate()).metadata)
        _store(api, described.tokenizer_file, small.to_json().encode())


def _store(api: Api, uri: str, body: bytes) -> None:
    """Put an object into a bucket, which is made where there is none."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = api.client("s3")
    if bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        # S3 refuses the name of its first region
        place = {} if api.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": api.region}}
        s3.create_bucket(Bucket=bucket, **place)
    s3.put_object(Bucket=bucket, Key=key, Body=body)


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
