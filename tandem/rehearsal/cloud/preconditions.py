"""Put into the embedded account what an account already holds before a deployment that refers to it.

Every function may be called again: what is there stays.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.acm.models import CertBundle, acm_backends
from moto.ssm.models import ssm_backends

from tandem.rehearsal.cloud.api import Api

NEURON_AMI = "/aws/service/ecs/optimized-ami/amazon-linux-2023/neuron/recommended/image_id"
"""Name the public SSM parameter of the ECS-optimized Neuron AMI."""

_PLACEHOLDER_AMI = "ami-0123456789abcdef0"


def public_parameter(api: Api, account: str, name: str = NEURON_AMI, value: str = _PLACEHOLDER_AMI) -> str:
    """Return the value of AWS's public SSM parameter ``name``, which is ``value`` where moto does not know it."""
    try:
        return str(api.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if error.response["Error"]["Code"] != "ParameterNotFound":
            raise
    backend = ssm_backends[account][api.region]  # PutParameter refuses names under /aws, as it should
    names = {"name": name, "description": "", "parameter_type": "String", "allowed_pattern": "", "keyid": None}
    backend.put_parameter(**names, value=value, overwrite=True, tags=[], data_type="aws:ec2:image", tier="Standard")
    return value


def certificate(arn: str, domain: str) -> None:
    """Have an issued ACM certificate for ``domain`` under ``arn``; its key is made here and trusted by nobody."""
    _, _, service, region, account, *_ = arn.split(":")
    if service != "acm":
        raise ValueError(f"certificate_arn must be of acm, got {arn!r}")
    certificates = acm_backends[account][region]._certificates  # ACM chooses ARNs itself: its API takes none
    if arn not in certificates:
        issued, key = _self_signed(domain)
        bundle = CertBundle(account_id=account, certificate=issued, private_key=key, region=region)
        bundle.arn = arn
        certificates[arn] = bundle


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
