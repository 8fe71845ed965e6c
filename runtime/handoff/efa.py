"""Find out what the running backend really uses: whether this container's processes have EFA devices open.

libfabric's efa provider holds a device file open for as long as it uses it; a backend that fell back to TCP has none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from runtime.handoff import settings


def efa_devices_open(environment: Mapping[str, str], proc: Path = Path("/proc"), *, processes: str = "[0-9]*") -> int:
    """Return how many EFA devices are open in this container, each counted once; ``processes`` matches process ids."""
    prefix = str(Path(environment.get(settings.HOST_ROOT, "/"), "dev/infiniband/uverbs"))
    return len({target for target in _open_files(proc, processes) if target.startswith(prefix)})


def _open_files(proc: Path, processes: str) -> set[str]:
    found: set[str] = set()
    for folder in proc.glob(f"{processes}/fd"):
        try:
            found.update(os.readlink(entry) for entry in folder.iterdir())
        except OSError:
            continue  # a process that has ended, or one of another user, which is none of ours
    return found
