"""Have Auto Scaling replace a host that is broken: once a host, and no more than one host of a group an hour.

A fault of the file or the image looks the same on every host; the group's record in the bucket keeps it from taking
them all, one after the other.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final

from runtime.handoff import settings
from runtime.prefill import aws
from runtime.prefill.aws import CredentialsError
from runtime.prefill.bucket import Bucket, BucketError, Item
from runtime.prefill.instance import MetadataError, instance_id
from runtime.prefill.local import local_folder

FAILURES: Final = 3
"""How often vLLM may fail on a host within ``WINDOW_SECONDS`` before the host is taken for broken."""
WINDOW_SECONDS: Final = 6 * 3600.0
INTERVAL_SECONDS: Final = 3600.0
"""How long a group waits before it gives up its next host."""
_RECORD: Final = "replaced.json"
_TIMEOUT_SECONDS: Final = 20.0


class RecoveryError(RuntimeError):
    """Tell why Auto Scaling was not asked, or what it answered."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """Speak for one worker's host; ``now`` tells the time of day in seconds."""

    environment: Mapping[str, str]
    say: Callable[[str], None]
    now: Callable[[], float] = time.time

    def failed(self, reason: str) -> None:
        """Note that vLLM failed here, and replace the host where it has too often."""
        notes = local_folder(self.environment, "failures")
        notes.parent.mkdir(parents=True, exist_ok=True)
        with notes.open("a") as file:
            file.write(f"{self.now():.0f}\n")
        recent = recent_failures(map(float, notes.read_text().split()), self.now())
        self.say(f"{recent} of {FAILURES} failures on this host within {WINDOW_SECONDS / 3600:.0f} h: {reason}")
        if recent >= FAILURES:
            self.replace_host(reason)

    def replace_host(self, reason: str) -> None:
        """Ask for another host because of ``reason``; say so where it is not to be asked for, or cannot be."""
        asked = local_folder(self.environment, "replacement-asked")
        if asked.exists():
            self.say("another host has been asked for already")
            return
        try:
            host = instance_id(self.environment)
            self._record(host, reason)
            self._mark_unhealthy(host)
        except (RecoveryError, BucketError, CredentialsError, MetadataError) as error:
            self.say(f"this host is not replaced: {error}")
            return
        asked.parent.mkdir(parents=True, exist_ok=True)
        asked.write_text(reason)
        self.say(f"Auto Scaling replaces {host}: {reason}")

    def _record(self, host: str, reason: str) -> None:
        place = settings.required(self.environment, settings.RECOVERY)
        record = Item(Bucket.of(place, self.environment), _RECORD)
        found, mine = record.read(), json.dumps({"host": host, "at": self.now(), "reason": reason}).encode()
        if found is None:
            written = record.create(mine)
        else:
            require_interval(json.loads(found[0]), self.now())
            written = record.replace(mine, found[1])
        if written is None:
            raise RecoveryError("another host of the group is being replaced at this moment")

    def _mark_unhealthy(self, host: str) -> None:
        region = settings.required(self.environment, "AWS_REGION")
        endpoint = self.environment.get("AWS_ENDPOINT_URL") or f"https://autoscaling.{region}.amazonaws.com"
        query = {
            "Action": "SetInstanceHealth",
            "Version": "2011-01-01",
            "InstanceId": host,
            "HealthStatus": "Unhealthy",
            "ShouldRespectGracePeriod": "false",
        }
        keys = aws.credentials(self.environment)
        request = aws.signed("GET", f"{endpoint}/", query, service="autoscaling", region=region, keys=keys)
        try:
            urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS).close()  # noqa: S310 - as above
        except (OSError, HTTPException) as error:
            said = getattr(error, "fp", None)
            more = f" {said.read(500).decode(errors='replace')}" if said else ""
            raise RecoveryError(f"SetInstanceHealth: {error}{more}") from error


def recent_failures(times: Iterable[float], now: float) -> int:
    """Return how many of ``times`` lie within the window before ``now``."""
    return sum(now - WINDOW_SECONDS < each for each in times)


def require_interval(record: Mapping[str, object], now: float) -> None:
    """Raise ``RecoveryError`` where the group has given up a host less than ``INTERVAL_SECONDS`` ago."""
    since = now - float(str(record["at"]))
    if since < INTERVAL_SECONDS:
        raise RecoveryError(
            f"{record['host']} of this group was replaced {since / 60:.0f} min ago for {record['reason']!r}; a second "
            f"one within {INTERVAL_SECONDS / 60:.0f} min points to the file or the image"
        )
