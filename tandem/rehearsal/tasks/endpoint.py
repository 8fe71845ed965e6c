"""Play the owner of the decode endpoint: issue its keys, and serve it under the name that was deployed."""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from runtime.handoff import settings
from runtime.standins.vllm.flags import API_KEY
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.machine.addresses import Addresses, require_free
from tandem.rehearsal.machine.certificates import Certificate, issue
from tandem.rehearsal.machine.machine import Machine
from tandem.rehearsal.machine.processes import Program
from tandem.rehearsal.machine.programs import ENDPOINTS, TEXT
from tandem.rehearsal.tasks.hosts import TaskError
from tandem.rehearsal.tasks.task import Task

_PORT = 8443


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Hold what was deployed of the endpoint, and where it is served here.

    ``ticket_key`` and ``reservation_seconds`` are None for one that takes no KV.
    """

    name: str
    provider: str
    url: str
    model: str
    address: str
    port: int
    api_key: str
    certificate: Certificate
    ticket_key: str | None = None
    reservation_seconds: int | None = None


def prepare(aws: Api, gateway: Task, machine: Machine, addresses: Addresses) -> list[Endpoint]:
    """Give each endpoint's name an address, a certificate and keys.

    The one that requests spill over to is among them; none is there where vLLM workers decode.
    """
    provider = _variable(gateway, settings.DECODE_PROVIDER)
    urls = _variable(gateway, settings.DECODE_ENDPOINTS).split(",") if provider in ENDPOINTS else []
    spare = gateway.environment.get(settings.SPILL_OVER_ENDPOINTS)
    hosts = dict.fromkeys(urlsplit(url).hostname or "" for url in [*urls, *([spare] if spare else [])])
    if not hosts:
        return []
    owner = _Owner(aws, gateway, addresses, issue(machine.work / "certificates", *hosts))
    found = owner.serving(provider, urls) if urls else []
    if spare:
        api_key = issue_key(aws, _variable(gateway, settings.SPILL_OVER_SECRET_ARN))
        model = _variable(gateway, settings.SPILL_OVER_MODEL)
        found.append(owner.prepared("endpoint-spill-over", TEXT, spare, model, api_key))
    return found


def issue_key(aws: Api, arn: str) -> str:
    """Write a fresh key into a deployed secret, as an operator does, and return it."""
    api_key = secrets.token_urlsafe(24)
    value = json.dumps({settings.API_KEY_FIELD: api_key})
    aws.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=value)
    return api_key


@dataclass(frozen=True, slots=True)
class _Owner:
    """Know what endpoints are made with."""

    aws: Api
    gateway: Task
    addresses: Addresses
    certificate: Certificate

    def serving(self, provider: str, urls: list[str]) -> list[Endpoint]:
        api_key = issue_key(self.aws, _variable(self.gateway, settings.DECODE_SECRET_ARN))
        names = [f"endpoint-{provider}", *(f"endpoint-{provider}-{number}" for number in range(2, len(urls) + 1))]
        model = _variable(self.gateway, settings.DECODE_MODEL)
        return [self.prepared(name, provider, url, model, api_key) for name, url in zip(names, urls, strict=True)]

    def prepared(self, name: str, provider: str, url: str, model: str, api_key: str) -> Endpoint:
        address = self.addresses.take()
        require_free(address, _PORT, url)
        self.addresses.name(url, address, _PORT)
        endpoint = Endpoint(
            name=name,
            provider=provider,
            url=url,
            model=model,
            address=address,
            port=_PORT,
            api_key=api_key,
            certificate=self.certificate,
        )
        return endpoint if provider == TEXT else self._taking_kv(endpoint)

    def _taking_kv(self, endpoint: Endpoint) -> Endpoint:
        secret = _variable(self.gateway, settings.TICKET_SECRET_ARN)
        key = self.aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
        # a reservation must outlive the prefill, as the KV lease must
        seconds = int(_variable(self.gateway, settings.KV_LEASE_SECONDS))
        return replace(endpoint, ticket_key=key, reservation_seconds=seconds)


def program(endpoint: Endpoint, machine: Machine) -> Program:
    """Return the stand-in's process."""
    served = [f"--host={endpoint.address}", f"--port={endpoint.port}", f"--served-model-name={endpoint.model}"]
    pem = endpoint.certificate
    if endpoint.ticket_key is None:
        flags = ["serve", endpoint.model, *served, f"--ssl-certfile={pem.certificate}", f"--ssl-keyfile={pem.key}"]
        keys = {API_KEY: endpoint.api_key}
    else:
        kept = f"--reservation-ttl-seconds={endpoint.reservation_seconds}"
        flags = [*served, kept, f"--tls-certificate={pem.certificate}", f"--tls-key={pem.key}"]
        keys = {settings.DECODE_KEY: endpoint.api_key, settings.TICKET_KEY: endpoint.ticket_key}
    return Program(
        name=endpoint.name,
        command=[sys.executable, "-m", ENDPOINTS[endpoint.provider], *flags],
        environment={**machine.environment(), **keys},
        cwd=machine.root,
    )


def _variable(gateway: Task, name: str) -> str:
    if name not in gateway.environment:
        raise TaskError(f"service {gateway.service} has no variable {name}: add it to the container")
    return gateway.environment[name]
