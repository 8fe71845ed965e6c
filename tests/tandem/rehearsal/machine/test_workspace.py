"""One rehearsal at a time has the folder, and finds it empty."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tandem.rehearsal.machine.workspace import WorkspaceError, workspace

HOLD = """
import sys
from pathlib import Path
from tandem.rehearsal.machine.workspace import workspace
with workspace(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_makes_the_folder_and_empties_it(tmp_path: Path) -> None:
    folder, kept = tmp_path / "deep" / "work", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    with workspace(folder) as work:
        assert work == folder
        (work / "logs").mkdir()
        (work / "logs" / "worker.log").write_text("…")
        (work / "report.json").write_text("{}")
        (work / "link").symlink_to(kept)
        (work / "dangling").symlink_to(tmp_path / "nothing")
    assert (folder / "report.json").exists(), "the report stays until the next rehearsal"
    with workspace(folder) as work:
        assert os.listdir(work) == ["lock"]
    assert (kept / "file").exists()


def test_a_second_holder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    with workspace(tmp_path) as work:
        (work / "report.json").write_text("{}")
        with pytest.raises(WorkspaceError, match=f"another rehearsal runs in {tmp_path}: wait"), workspace(tmp_path):
            pass
        assert (work / "report.json").exists()


def test_the_lock_ends_with_its_holder_however_it_ends(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), workspace(tmp_path):
        raise KeyboardInterrupt
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceError), workspace(tmp_path):
            pass
        holder.kill()
    with workspace(tmp_path):
        pass


def test_a_child_that_goes_on_does_not_hold_the_lock(tmp_path: Path) -> None:
    with workspace(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child, workspace(tmp_path):
        assert child.poll() is None
        child.kill()
