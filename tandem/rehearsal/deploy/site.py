"""Hold where a rehearsal takes place: an embedded account, the machine that lends it processes, and the CDK's CLI."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tandem.rehearsal.cloud import docker
from tandem.rehearsal.cloud.api import Api
from tandem.rehearsal.cloud.images import STORE_VARIABLE
from tandem.rehearsal.cloud.server import EmbeddedCloud
from tandem.rehearsal.deploy.cdk import Cdk
from tandem.rehearsal.machine.machine import Machine
from tandem.spec.deployment import Deployment

_ACCOUNT = "123456789012"


@dataclass(frozen=True, slots=True)
class Site:
    """Hold an account, empty at first, and what deploys to it and runs what was deployed."""

    cloud: EmbeddedCloud
    machine: Machine
    cdk: Cdk

    @property
    def aws(self) -> Api:
        """The account's API, as its administrator."""
        return self.cloud.api


@contextmanager
def site(
    deployment: Deployment, root: Path, work: Path, say: Callable[[str], None], *, transport: str = "UCX"
) -> Iterator[Site]:
    """Run the account that ``deployment`` names, for as long as the context lasts; files go below ``work``."""
    with EmbeddedCloud(deployment.account or _ACCOUNT, deployment.region, work / "cloud") as cloud:
        machine = Machine(root=root, work=work, endpoint=cloud.endpoint, region=cloud.region, transport=transport)
        cloud.functions.prelude = machine.resolver.read_text()
        # Lambda's Node runtime brings the AWS SDK along; here npm did
        cloud.functions.environment = {**machine.environment(), "NODE_PATH": str(root / "node_modules")}
        yield Site(cloud, machine, _cdk(cloud, root, work, say))


def _cdk(cloud: EmbeddedCloud, root: Path, work: Path, say: Callable[[str], None]) -> Cdk:
    program = docker.write_program(work / "docker", root)
    environment = {**os.environ, **cloud.environment(), "CDK_DOCKER": str(program)}
    environment[STORE_VARIABLE] = str(work / "images")
    return Cdk(root, work / "cdk.out", environment, work / "cdk.log", say)
