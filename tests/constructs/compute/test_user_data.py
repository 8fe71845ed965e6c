"""A host's first boot, run by a real shell over stand-ins for the programs that need a disk."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from constructs.compute.user_data import user_data
from runtime.handoff import settings

_EBS = "/dev/nvme0n1 Amazon Elastic Block Store"
_NVME = "/dev/nvme1n1 Amazon EC2 NVMe Instance Storage"
_PROGRAMS = {
    "lsblk": 'printf "%b" "$DISKS"',
    "blkid": 'test -e "$ROOT/formatted"',
    "mkfs.xfs": 'echo "mkfs.xfs $*" >> "$ROOT/calls"',
    "mount": 'echo "mount $*" >> "$ROOT/calls"',
}


def _boot(root: Path, disks: list[str]) -> tuple[list[str], str]:
    """Run the script below ``root``; return what it did to disks, and /etc/fstab."""
    programs = root / "bin"
    for folder in (programs, root / "etc/ecs"):
        folder.mkdir(parents=True)
    for name, line in _PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    script = user_data("trn2", spot=False).render()
    for path in ("/etc/", settings.LOCAL_FOLDER):
        script = script.replace(path, f"{root}{path}")
    variables = {"PATH": f"{programs}:{os.environ['PATH']}", "ROOT": str(root), "DISKS": "\\n".join([*disks, ""])}
    subprocess.run(["/bin/bash", "-e", "-c", script], env=variables, check=True)
    assert (root / settings.LOCAL_FOLDER.lstrip("/")).is_dir()
    calls, table = root / "calls", root / "etc/fstab"
    return calls.read_text().splitlines() if calls.exists() else [], table.read_text() if table.exists() else ""


def test_the_first_disk_of_the_host_itself_holds_weights_and_artifacts(tmp_path: Path) -> None:
    calls, table = _boot(tmp_path, [_EBS, _NVME, _NVME.replace("nvme1", "nvme2")])
    folder = f"{tmp_path}{settings.LOCAL_FOLDER}"
    assert calls == ["mkfs.xfs -K -L tandem /dev/nvme1n1", f"mount {folder}"]
    assert table == f"LABEL=tandem {folder} xfs defaults,nofail 0 2\n"


def test_a_disk_with_a_file_system_is_not_formatted(tmp_path: Path) -> None:
    (tmp_path / "formatted").touch()
    assert _boot(tmp_path, [_NVME])[0] == [f"mount {tmp_path}{settings.LOCAL_FOLDER}"]


@pytest.mark.parametrize("disks", [[_EBS], []])
def test_a_host_without_a_disk_of_its_own_keeps_its_root_volume(tmp_path: Path, disks: list[str]) -> None:
    assert _boot(tmp_path, disks) == ([], "")
