"""Keep the list of workers that AWS Cloud Map knows and that say they are ready, off the request path."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from runtime.gateway import log
from runtime.gateway.workers import Worker

INTERVAL_SECONDS: Final = 3.0
_JOIN_SECONDS: Final = 10.0
_ASKED_AT_ONCE: Final = 32


class Discovery:
    """Ask Cloud Map every few seconds in a thread of its own; ``workers`` is replaced as one value.

    ``ready`` is asked of each worker, side by side. Where Cloud Map cannot be asked, the workers last known are.
    """

    def __init__(
        self,
        client: Any,
        *,
        namespace: str,
        service: str,
        ready: Callable[[Worker], bool],
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._client = client
        self._ready = ready
        self._known: tuple[Worker, ...] = ()
        self._namespace = namespace
        self._service = service
        self._interval = interval_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"discovery-{service}", daemon=True)
        self.workers: tuple[Worker, ...] = ()

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking, and wait for a question under way."""
        self._stopped.set()
        self._thread.join(_JOIN_SECONDS)

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
        workers = tuple(worker for worker, ready in zip(self._known, answers, strict=True) if ready)
        if workers != self.workers:
            self.workers = workers
            waiting = [str(worker) for worker in self._known if worker not in workers]
            log.write("workers", service=self._service, workers=[str(worker) for worker in workers], not_ready=waiting)

    def _run(self) -> None:
        self.refresh()
        while not self._stopped.wait(self._interval):
            self.refresh()


def registered(instances: Iterable[Mapping[str, str]]) -> tuple[Worker, ...]:
    """Return the workers among Cloud Map instances, in order; one without address and port (a CNAME, say) is none."""
    found = {
        Worker(attributes["AWS_INSTANCE_IPV4"], int(attributes["AWS_INSTANCE_PORT"]))
        for attributes in instances
        if {"AWS_INSTANCE_IPV4", "AWS_INSTANCE_PORT"} <= attributes.keys()
    }
    return tuple(sorted(found))
