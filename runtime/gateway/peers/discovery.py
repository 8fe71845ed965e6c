"""Keep the list of workers that AWS Cloud Map knows and that say they are ready, off the request path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from runtime.gateway.peers.workers import Address, Worker
from runtime.gateway.telemetry import log

INTERVAL_SECONDS: Final = 3.0
_ASKED_AT_ONCE: Final = 32


class Discovery:
    """Ask Cloud Map, as often as ``refresh`` is called; ``workers`` is replaced as one value.

    ``ready`` asks each worker, side by side, and returns it as it is now, None where it takes no requests. Where Cloud
    Map cannot be asked, the workers last known are.
    """

    def __init__(
        self,
        client: Any,
        *,
        namespace: str,
        service: str,
        ready: Callable[[Address], Worker | None],
    ) -> None:
        self._client = client
        self._ready = ready
        self._known: tuple[Address, ...] = ()
        self._namespace = namespace
        self._service = service
        self.workers: tuple[Worker, ...] = ()

    def refresh(self) -> None:
        """Ask Cloud Map, whose failure is logged, and then each worker."""
        try:
            # workers tell their health themselves, and sooner
            answer = self._client.discover_instances(
                NamespaceName=self._namespace, ServiceName=self._service, HealthStatus="ALL"
            )
            self._known = registered(instance["Attributes"] for instance in answer["Instances"])
        except (BotoCoreError, ClientError) as error:
            log.write("discovery_failed", service=self._service, error=str(error))
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            answers = list(pool.map(self._ready, self._known))
        self._replace(tuple(worker for worker in answers if worker))

    def renew(self, worker: Worker) -> None:
        """Ask one worker anew, whose place a later run of it takes."""
        again = self._ready(worker.address)
        others = (one for one in self.workers if one.address != worker.address)
        self._replace(tuple(sorted([*others, again] if again else others)))

    def _replace(self, workers: tuple[Worker, ...]) -> None:
        if workers != self.workers:
            self.workers = workers
            names = [str(worker) for worker in workers]
            waiting = [str(address) for address in self._known if str(address) not in names]
            log.write("workers", service=self._service, workers=names, not_ready=waiting)


def registered(instances: Iterable[Mapping[str, str]]) -> tuple[Address, ...]:
    """Return the workers among Cloud Map instances, in order; one without address and port (a CNAME, say) is none."""
    found = {
        Address(attributes["AWS_INSTANCE_IPV4"], int(attributes["AWS_INSTANCE_PORT"]))
        for attributes in instances
        if {"AWS_INSTANCE_IPV4", "AWS_INSTANCE_PORT"} <= attributes.keys()
    }
    return tuple(sorted(found))
