"""Be the one way to AWS: hand out boto3 clients that give up soon."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import ConstantProvider
from botocore.exceptions import NoCredentialsError

_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
_FIRST_CALL = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 1})
"""STS is asked first, to learn whether AWS can be reached at all."""
_METADATA_SECONDS = 0.5
"""For each of the two calls to an instance's metadata service, which answers from the same host or not at all."""


@dataclass(frozen=True, slots=True)
class Aws:
    """Hand out clients by service name, for the deployment's region unless another is named.

    ``make`` takes a service and a region; a test gives one of its own.
    """

    region: str
    make: Callable[[str, str], Any]

    def client(self, service: str, region: str | None = None) -> Any:
        """Return the client of ``service``."""
        return self.make(service, region or self.region)


def connect(region: str, profile: str | None = None) -> Aws:
    """Return the account of ``profile``, or of the environment as every AWS tool finds it.

    Credentials are looked up here and now, since a profile may ask for an MFA code at the terminal. Raises
    ``BotoCoreError`` where there are none.
    """
    core = botocore.session.Session(profile=profile)
    # a provider, since as a variable it would be cut to whole seconds
    store = core.get_component("config_store")
    store.set_config_provider("metadata_service_timeout", ConstantProvider(_METADATA_SECONDS))
    session = boto3.Session(botocore_session=core, region_name=region)
    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    credentials.get_frozen_credentials()
    return Aws(region, _Clients(session))


class _Clients:
    """Make each client once; making one is not thread-safe in boto3, using it is."""

    def __init__(self, session: Any) -> None:
        self._session, self._lock = session, threading.Lock()
        self._made: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, region: str) -> Any:
        with self._lock:
            if (service, region) not in self._made:
                config = _FIRST_CALL if service == "sts" else _CONFIG
                self._made[service, region] = self._session.client(service, region_name=region, config=config)
            return self._made[service, region]
