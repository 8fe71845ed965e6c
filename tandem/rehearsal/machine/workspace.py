"""Hold the folder of a rehearsal, by one rehearsal at a time."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandem.rehearsal.errors import RehearsalError


class WorkspaceError(RehearsalError):
    """Say why the folder cannot be used."""


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Lock ``folder`` and empty it; raise ``WorkspaceError`` while another rehearsal holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkspaceError(
                f"another rehearsal runs in {folder}: wait for it or stop it, one at a time is possible"
            ) from error
        for entry in folder.iterdir():
            if entry.name == "lock":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        yield folder
