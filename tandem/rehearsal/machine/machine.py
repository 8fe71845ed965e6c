"""Hold what this machine lends to every rehearsed process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from runtime.handoff import settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Stand in for AWS's network, hosts and resolver."""

    root: Path
    work: Path
    endpoint: str
    region: str
    transport: str = "UCX"

    @property
    def hosts_file(self) -> Path:
        """Where names and their addresses are kept."""
        return self.work / "hosts.json"

    @property
    def resolver(self) -> Path:
        """The module that every Python process imports at its start, in place of the VPC's resolver."""
        return Path(__file__).parent / "names" / "sitecustomize.py"

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signs the rehearsal's HTTPS endpoints."""
        return self.work / "certificates" / "authority.pem"

    def environment(self) -> dict[str, str]:
        """Return the variables that stand for the network: resolver, trust, AWS."""
        return {
            "HOME": str(self.work),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.resolver.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "TANDEM_REHEARSAL_HOSTS": str(self.hosts_file),
            "TANDEM_REHEARSAL_PID": str(os.getpid()),
            "AWS_ENDPOINT_URL": self.endpoint,
            # Cloud Map's data calls go to a host named data-…, which AWS has and the embedded AWS has not
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "UCX_NET_DEVICES": "lo",
            settings.TRANSPORT: self.transport,
            "SSL_CERT_FILE": str(self.authority),
        }
