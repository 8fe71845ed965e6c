"""Fetch weights from S3 before vLLM starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.handoff import settings
from runtime.prefill.bucket import Bucket
from runtime.prefill.fetch import FetchError
from runtime.prefill.fetch import fetch as fetch_objects
from runtime.prefill.local import local_folder


def fetch(environment: Mapping[str, str], say: Callable[[str], None], *, pause: float = 1.0) -> Path | None:
    """Return the folder that holds the weights; None where the model comes from the hub.

    Raises ``FetchError``, ``BucketError``, ``CredentialsError`` and ``SettingError``.
    """
    source = environment.get(settings.WEIGHTS)
    if not source:
        return None
    bucket = Bucket.of(source, environment)
    wanted = [stored for stored in bucket.list() if not stored.key.endswith("/")]
    if not wanted:
        raise FetchError(f"there is nothing below {source}: upload the weights there, or correct model.weights")
    folder = local_folder(environment, "weights", bucket.name, bucket.prefix)
    fetch_objects(bucket, wanted, folder, bucket.prefix, lambda text: say(f"weights: {text}"), pause=pause)
    return folder
