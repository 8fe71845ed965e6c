"""Fetch objects from S3 into a folder of the host's own disk; what an earlier start fetched is kept."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from http.client import HTTPException
from pathlib import Path
from typing import Final

from runtime.prefill.bucket import Bucket, BucketError, Stored

_AT_ONCE: Final = 16
"""Objects fetched side by side; S3 gives one connection some 100 MB/s (S3 performance guidelines)."""
_ATTEMPTS: Final = 5
_CHUNK: Final = 4 * 2**20
_REPORT_SECONDS: Final = 10.0


class FetchError(RuntimeError):
    """Tell why files cannot be had, other than by S3's answer."""


def fetch(
    bucket: Bucket,
    wanted: Sequence[Stored],
    folder: Path,
    prefix: str,
    say: Callable[[str], None],
    *,
    pause: float = 1.0,
) -> None:
    """Bring every object of ``wanted`` into ``folder``, named by what follows ``prefix`` in its key.

    ``pause`` seconds pass after a first failure, twice as many after each further one. Raises ``FetchError``,
    ``BucketError`` and ``CredentialsError``.
    """
    fetching = _Fetching(bucket, folder, prefix, pause)
    missing = [stored for stored in wanted if not fetching.complete(stored)]
    _require_space(folder, missing)
    say(f"{len(wanted) - len(missing)} of {len(wanted)} files of s3://{bucket.name}/{prefix} are on disk")
    _run(fetching, missing, say)


def _require_space(folder: Path, missing: Sequence[Stored]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = sum(stored.size for stored in missing), shutil.disk_usage(folder).free
    present = sum(part.stat().st_size for part in folder.rglob("*.part"))
    if needed > free + present:
        raise FetchError(f"{folder} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are missing: enlarge it")


def _run(fetching: _Fetching, missing: Sequence[Stored], say: Callable[[str], None]) -> None:
    total, started = sum(stored.size for stored in missing), time.monotonic()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # the largest first: the last to end then is a small one
        running = {pool.submit(fetching.fetch, one) for one in sorted(missing, key=lambda one: -one.size)}
        while running:
            done, running = wait(running, _REPORT_SECONDS, FIRST_EXCEPTION)
            rate = fetching.received / max(time.monotonic() - started, 1e-3)
            say(f"{fetching.received / 1e9:.2f} of {total / 1e9:.2f} GB, {rate / 1e6:.0f} MB/s")
            failed = next((error for future in done if (error := future.exception())), None)
            if failed:
                fetching.given_up = True
                pool.shutdown(wait=False, cancel_futures=True)
                raise failed


class _Fetching:
    """Fetch objects into ``folder``; ``received`` counts bytes, and ``given_up`` ends those under way."""

    def __init__(self, bucket: Bucket, folder: Path, prefix: str, pause: float) -> None:
        self._bucket, self._folder, self._prefix, self._pause = bucket, folder, prefix, pause
        self._lock = threading.Lock()
        self.received = 0
        self.given_up = False

    def complete(self, stored: Stored) -> bool:
        """Tell whether the file is there with the object's size."""
        target = self._target(stored)
        return target.is_file() and target.stat().st_size == stored.size

    def fetch(self, stored: Stored) -> None:
        """Fetch one object, going on where an earlier attempt or start ended; raise ``BucketError``."""
        target = self._target(stored)
        target.parent.mkdir(parents=True, exist_ok=True)
        # named by content: the beginning of an older object is of no use
        part = target.with_name(f"{target.name}.{stored.etag.strip(chr(34))}.part")
        part.touch()
        for attempt in range(_ATTEMPTS):
            try:
                self._append(stored, part)
                break
            except BucketError as error:
                if error.lasting or attempt == _ATTEMPTS - 1 or self.given_up:
                    raise
                time.sleep(self._pause * 2**attempt)
        part.replace(target)

    def _append(self, stored: Stored, part: Path) -> None:
        offset = part.stat().st_size
        if offset < stored.size:
            with self._bucket.open(stored, offset) as answer, part.open("ab") as file:
                try:
                    while not self.given_up and (chunk := answer.read(_CHUNK)):
                        file.write(chunk)
                        with self._lock:
                            self.received += len(chunk)
                except (OSError, HTTPException) as error:
                    raise BucketError(f"{stored.key}: {type(error).__name__}: {error}") from error
        have = part.stat().st_size
        if have != stored.size:
            raise BucketError(f"{stored.key}: {have} of {stored.size} bytes came", lasting=have > stored.size)

    def _target(self, stored: Stored) -> Path:
        name = stored.key.removeprefix(f"{self._prefix}/")
        if ".." in name.split("/"):
            raise FetchError(f"the object {stored.key!r} would be written outside {self._folder}: rename it")
        return self._folder / name
