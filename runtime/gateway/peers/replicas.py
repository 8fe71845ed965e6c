"""Know how many tasks of this gateway there are, over which tenants' limits are divided."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from runtime.gateway.telemetry import log

INTERVAL_SECONDS: Final = 3.0
_MOST: Final = 1000  # what Cloud Map returns at once; a deployment has 100 tasks at most


class Replicas:
    """Count the tasks that ECS has registered in Cloud Map.

    Before Cloud Map has told, ``at_first`` is taken, and where it cannot be asked, what it told last. A task alone is
    one, whether it is registered yet or not.
    """

    def __init__(self, client: Any, *, namespace: str, service: str, at_first: int) -> None:
        self._client = client
        self._namespace = namespace
        self._service = service
        self.count = at_first

    def refresh(self) -> None:
        """Ask Cloud Map; a failure is logged."""
        try:
            answer = self._client.discover_instances(
                NamespaceName=self._namespace, ServiceName=self._service, MaxResults=_MOST, HealthStatus="ALL"
            )
        except (BotoCoreError, ClientError) as error:
            log.write("replicas_unknown", error=str(error))
            return
        count = max(1, len(answer["Instances"]))
        if count != self.count:
            log.write("replicas", count=count, before=self.count)
        self.count = count
