"""Name places on the host's own disk, which outlive a worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runtime.handoff import settings


def local_folder(environment: Mapping[str, str], *parts: str) -> Path:
    """Return the folder ``parts`` of the host's folder for Tandem; in a rehearsal the host is a folder itself."""
    return Path(environment.get(settings.HOST_ROOT, "/"), settings.LOCAL_FOLDER.lstrip("/"), *parts)
