"""Agree, by one object in the bucket, which worker compiles: who holds the claim, as long as it renews it.

No two clocks are compared. A claim is dead when an onlooker has seen it unchanged for ``lease`` seconds of its own
clock; whoever holds it gives it up by its own clock earlier, counted from before its last renewal was sent. Each write
names the version that it replaces (S3's conditional writes), so that of two that take over only one does.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

LEASE_SECONDS: Final = 60.0
"""How long a claim outlives the one that holds it: a death costs the others this much waiting."""
_RENEWALS: Final = 4
"""How often a lease is renewed, so that some may fail."""


class Store(Protocol):
    """Keep one object; a version is named by its ETag. Each method raises ``BucketError`` where it cannot know."""

    def read(self) -> tuple[bytes, str] | None:
        """Return content and ETag; None where there is none."""

    def create(self, body: bytes) -> str | None:
        """Write where there is none; return the ETag, None where there is one."""

    def replace(self, body: bytes, etag: str) -> str | None:
        """Write where the version still is ``etag``; return the new ETag, None where it is another."""


@dataclass(frozen=True, slots=True)
class _Seen:
    etag: str
    since: float


class Claim:
    """Contend for the claim in ``store`` under a name of its own."""

    def __init__(self, store: Store, *, lease: float = LEASE_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        self._store, self._clock, self.lease = store, clock, lease
        self._owner, self._beat = uuid.uuid4().hex, 0
        self._seen: _Seen | None = None
        self._etag, self._until = "", 0.0

    @property
    def held(self) -> bool:
        """Whether nobody else can have taken it over."""
        return self._clock() < self._until

    def attempt(self) -> bool:
        """Take the claim where it is free or dead; return whether this one holds it now. Raises ``BucketError``."""
        began, found = self._clock(), self._store.read()
        if found is None:
            return self._took(began, self._store.create(self._body()))
        body, etag = found
        if self._free(body) or self._dead(etag):
            return self._took(began, self._store.replace(self._body(), etag))
        return False

    def renew(self) -> bool:
        """Prolong the claim; return whether it is still this one's. Raises ``BucketError``."""
        began, etag = self._clock(), self._store.replace(self._body(), self._etag)
        if etag is None and (found := self._store.read()) and self._owner_of(found[0]) == self._owner:
            # an earlier renewal arrived, and its answer did not
            began, etag = self._clock(), self._store.replace(self._body(), found[1])
        return self._took(began, etag)

    def release(self) -> None:
        """Leave the claim to the next; where that fails it dies by itself. Raises ``BucketError``."""
        self._until = 0.0
        self._store.replace(b"{}", self._etag)

    def _took(self, began: float, etag: str | None) -> bool:
        self._etag, self._until = etag or "", began + self.lease if etag else 0.0
        return etag is not None

    def _dead(self, etag: str) -> bool:
        now = self._clock()
        if self._seen is None or self._seen.etag != etag:
            self._seen = _Seen(etag, now)
        return now - self._seen.since >= self.lease

    def _free(self, body: bytes) -> bool:
        return self._owner_of(body) in ("", self._owner)

    @staticmethod
    def _owner_of(body: bytes) -> str:
        try:
            return str(json.loads(body).get("owner", ""))
        except (ValueError, AttributeError):
            return "unreadable"  # not ours to free: it dies like any other

    def _body(self) -> bytes:
        self._beat += 1  # so that no two versions are equal, and with them no two ETags
        return json.dumps({"owner": self._owner, "beat": self._beat}).encode()


class Holding:
    """Renew a claim in the background until ``end``, which releases it; each failure is told, none is fatal."""

    def __init__(self, claim: Claim, failed: Callable[[Exception], None], errors: tuple[type[Exception], ...]) -> None:
        self._claim, self._failed, self._errors = claim, failed, errors
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="claim", daemon=True)
        self._thread.start()

    def holds(self) -> bool:
        """Tell whether the claim is held still."""
        return self._claim.held

    def end(self) -> None:
        """Release the claim; a second call does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join()
        self._attempt(self._claim.release)

    def _keep(self) -> None:
        while not self._ended.wait(self._claim.lease / _RENEWALS):
            if self._attempt(self._claim.renew) is False:
                return

    def _attempt(self, action: Callable[[], bool | None]) -> bool | None:
        try:
            return action()
        except self._errors as error:
            self._failed(error)
            return None
