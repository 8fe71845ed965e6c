"""Say which local program stands in for what a deployed image or an outside endpoint would run."""

from __future__ import annotations

import re
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tandem.rehearsal.errors import RehearsalError

STAND_INS: Final[Mapping[str, Mapping[str, str]]] = {
    "public.ecr.aws/neuron/pytorch-inference-vllm-neuronx": {
        "vllm": "runtime.standins.vllm",
        "fi_info": "runtime.standins.fi_info",
    },
    "public.ecr.aws/docker/library/python": {},
}
"""Base image → program in it → local module. ``python3`` is in each of them and is this very interpreter."""

SIDECARS: Final[Mapping[str, tuple[str, int]]] = {
    "public.ecr.aws/aws-observability/aws-otel-collector": ("runtime.standins.collector", 4318),
}
"""Image of a container that stands beside another → local module that runs in its place, and its port (OTLP's)."""

TEXT: Final = "openai"
"""The decode provider whose endpoint is handed text."""
ENDPOINTS: Final[Mapping[str, str]] = {"cs3": "runtime.standins.cs3", TEXT: "runtime.standins.vllm"}
"""Decode provider → local module that serves its endpoint; vLLM's API is OpenAI's. Workers that decode are deployed."""


_PYTHON = shlex.quote(sys.executable)
_TAG_AND_DIGEST = re.compile(r"(:[^:/@]+)?(@.+)?$")


class ProgramError(RehearsalError):
    """Say what has no stand-in."""


def sidecar_program(image: str) -> tuple[str, int]:
    """Return the module that stands in for a whole image, and its port; raise ``ProgramError`` for an unknown one."""
    name = _TAG_AND_DIGEST.sub("", image)
    if name not in SIDECARS:
        raise ProgramError(f"image {image} has no local stand-in; those with one are {', '.join(sorted(SIDECARS))}")
    return SIDECARS[name]


def programs_folder(base_image: str, folder: Path, root: Path) -> Path:
    """Write the programs of a base image into a folder for ``PATH``; raise ``ProgramError`` for an unknown image."""
    name = _TAG_AND_DIGEST.sub("", base_image)
    if name not in STAND_INS:
        known = ", ".join(sorted(STAND_INS))
        raise ProgramError(f"image {base_image} has no local stand-in; those with one are {known}")
    target = folder / name.replace("/", "_")
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "python3", f'exec {_PYTHON} "$@"')
    for program, module in STAND_INS[name].items():
        # from the repository's root: the image holds a package of the same name without the stand-ins
        _write(target / program, f'cd {shlex.quote(str(root))} && exec {_PYTHON} -m {module} "$@"')
    return target


def _write(path: Path, line: str) -> None:
    # in one step: a task that was started a moment ago may be reading the script
    fresh = path.with_suffix(".new")
    fresh.write_text(f"#!/bin/sh\n{line}\n")
    fresh.chmod(fresh.stat().st_mode | stat.S_IXUSR)
    fresh.replace(path)
