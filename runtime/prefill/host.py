"""Refuse a host that lacks what the construct promised: Neuron devices, EFA devices, libfabric's efa provider.

Without the check a worker would start on TCP or with part of its cores, and only its latency would tell.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from runtime.handoff import fabric, settings

FI_INFO: Final = "fi_info"
_INSTALLED: Final = "/opt/amazon/efa/bin"
"""Where AWS's EFA installer puts libfabric's programs; it is not always on ``PATH``."""
_SECONDS: Final = 60.0
_DOMAIN: Final = re.compile(r"^\s*domain:\s*(\S+?)(?:-rdm|-dgrm)?$", re.MULTILINE)


class HostError(RuntimeError):
    """Tell what the host lacks; another host may have it."""


class ImageError(RuntimeError):
    """Tell what the image lacks, on any host."""


def check(environment: Mapping[str, str]) -> None:
    """Raise ``HostError`` for a missing device, or EFA not had that is asked for; ``ImageError``, ``SettingError``."""
    interfaces = settings.required_int(environment, settings.EFA_INTERFACES)
    _check_devices(environment, "dev/neuron", settings.required_int(environment, settings.NEURON_DEVICES))
    _check_devices(environment, "dev/infiniband/uverbs", interfaces)
    if environment.get(fabric.PROVIDER_VARIABLE) == fabric.EFA:
        _check_provider(environment, interfaces)


def _check_devices(environment: Mapping[str, str], prefix: str, count: int) -> None:
    root = environment.get(settings.HOST_ROOT, "/")
    missing = [f"/{prefix}{index}" for index in range(count) if not Path(root, f"{prefix}{index}").exists()]
    if missing:
        raise HostError(
            f"{len(missing)} of {count} devices /{prefix}* are not in the container, the first is {missing[0]}: "
            "map them in the task definition, and check the instance type and its interfaces"
        )


def _check_provider(environment: Mapping[str, str], interfaces: int) -> None:
    found = set(_DOMAIN.findall(_ask_libfabric(environment)))
    if len(found) < interfaces:
        raise HostError(
            f"libfabric's efa provider sees {len(found)} of {interfaces} interfaces "
            f"({', '.join(sorted(found)) or 'none'}): check the launch template, the EFA driver and the security group"
        )


def _ask_libfabric(environment: Mapping[str, str]) -> str:
    program = shutil.which(FI_INFO, path=f"{environment.get('PATH', '')}:{_INSTALLED}")
    if program is None:
        raise ImageError(
            f"FI_PROVIDER is efa and there is no {FI_INFO} on PATH or in {_INSTALLED}: use an image with EFA"
        )
    try:
        done = subprocess.run(
            [program, "-p", "efa"], env=dict(environment), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{program} -p efa cannot be run: {error}") from error
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise HostError(f"FI_PROVIDER is efa and libfabric has none: {program} -p efa says {' '.join(reason)!r}")
    return done.stdout
