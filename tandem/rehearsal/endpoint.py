"""Play the owner of the decode endpoint: issue its keys, and serve it under the name that was deployed."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from runtime.handoff import settings
from tandem.rehearsal.addresses import Addresses, require_free
from tandem.rehearsal.certificates import Certificate, issue
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.hosts import TaskError
from tandem.rehearsal.launch import Machine
from tandem.rehearsal.processes import Program
from tandem.rehearsal.programs import ENDPOINTS, require_stand_in
from tandem.rehearsal.tasks import Task

_PORT = 8443


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Hold what was deployed of the endpoint, and where it is served here."""

    name: str
    provider: str
    url: str
    model: str
    address: str
    port: int
    api_key: str
    ticket_key: str
    reservation_seconds: int
    certificate: Certificate


def issue_keys(aws: Api, gateway: Task) -> tuple[str, str]:
    """Write a fresh key into the deployed secret, as an operator does, and return it and the key of tickets."""
    client, api_key = aws.client("secretsmanager"), secrets.token_urlsafe(24)
    arn = _variable(gateway, settings.DECODE_SECRET_ARN)
    client.put_secret_value(SecretId=arn, SecretString=json.dumps({settings.API_KEY_FIELD: api_key}))
    ticket_key = client.get_secret_value(SecretId=_variable(gateway, settings.TICKET_SECRET_ARN))["SecretString"]
    return api_key, ticket_key


def prepare(aws: Api, gateway: Task, machine: Machine, addresses: Addresses) -> list[Endpoint]:
    """Give each endpoint's name an address and a certificate; raise ``ProgramError`` where nothing stands in for it."""
    provider = gateway.environment.get(settings.DECODE_PROVIDER, "")
    require_stand_in(provider)
    issued = issue_keys(aws, gateway)
    urls = _variable(gateway, settings.DECODE_ENDPOINTS).split(",")
    names = [f"endpoint-{provider}", *(f"endpoint-{provider}-{number}" for number in range(2, len(urls) + 1))]
    hosts = dict.fromkeys(urlsplit(url).hostname or "" for url in urls)
    certificate = issue(machine.work / "certificates", *hosts)
    return [_prepared(*each, issued, gateway, addresses, certificate) for each in zip(names, urls, strict=True)]


def _prepared(
    name: str, url: str, issued: tuple[str, str], gateway: Task, addresses: Addresses, certificate: Certificate
) -> Endpoint:
    api_key, ticket_key = issued
    address = addresses.take()
    require_free(address, _PORT, url)
    addresses.name(url, address, _PORT)
    return Endpoint(
        name=name,
        provider=gateway.environment[settings.DECODE_PROVIDER],
        url=url,
        model=_variable(gateway, settings.DECODE_MODEL),
        address=address,
        port=_PORT,
        api_key=api_key,
        ticket_key=ticket_key,
        # a reservation must outlive the prefill, as the KV lease must
        reservation_seconds=int(_variable(gateway, settings.KV_LEASE_SECONDS)),
        certificate=certificate,
    )


def program(endpoint: Endpoint, machine: Machine) -> Program:
    """Return the stand-in's process."""
    return Program(
        name=endpoint.name,
        command=[
            sys.executable,
            "-m",
            ENDPOINTS[endpoint.provider],
            f"--host={endpoint.address}",
            f"--port={endpoint.port}",
            f"--served-model-name={endpoint.model}",
            f"--reservation-ttl-seconds={endpoint.reservation_seconds}",
            f"--tls-certificate={endpoint.certificate.certificate}",
            f"--tls-key={endpoint.certificate.key}",
        ],
        environment={
            **machine.environment(),
            settings.DECODE_KEY: endpoint.api_key,
            settings.TICKET_KEY: endpoint.ticket_key,
        },
        cwd=machine.root,
    )


def _variable(gateway: Task, name: str) -> str:
    if name not in gateway.environment:
        raise TaskError(f"service {gateway.service} has no variable {name}: add it to the container")
    return gateway.environment[name]
