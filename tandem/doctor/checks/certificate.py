"""Check that the load balancer's certificate is issued and bears the gateway's domain."""

from __future__ import annotations

from botocore.exceptions import ClientError

from tandem.doctor.aws import Aws
from tandem.doctor.result import Result, failed, passed
from tandem.spec.deployment import Deployment


def check(deployment: Deployment, aws: Aws) -> Result:
    """Ask ACM in the deployment's region, which is the only one whose certificates the load balancer takes."""
    gateway = deployment.gateway
    if gateway.certificate_arn is None:
        return passed("plain HTTP: no certificate is asked for")
    try:
        found = aws.client("acm").describe_certificate(CertificateArn=gateway.certificate_arn)["Certificate"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return failed(f"{gateway.certificate_arn} is not in {deployment.region}", "name one in gateway.certificate_arn")
    if found["Status"] != "ISSUED":
        return failed(f"the certificate is {found['Status']}", "finish its validation, or name an issued one")
    names = sorted({found["DomainName"], *found.get("SubjectAlternativeNames", [])})
    if gateway.domain and not any(_bears(name, gateway.domain) for name in names):
        return failed(
            f"issued for {', '.join(names)}, not for {gateway.domain}", "change gateway.domain or certificate"
        )
    return passed(f"issued for {', '.join(names)}")


def _bears(name: str, domain: str) -> bool:
    """Tell whether a certificate's name covers ``domain``; a wildcard stands for one label (RFC 6125)."""
    if name.startswith("*."):
        return domain.lower().partition(".")[2] == name[2:].lower()
    return name.lower() == domain.lower()
