"""Synthesize a deployment file, and read the templates of a cloud assembly."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tandem.rehearsal.deploy.cdk import Cdk

Template = dict[str, Any]
"""One CloudFormation template."""

_SUFFIX = ".template.json"


class AssemblyError(Exception):
    """Say why a folder holds no templates."""


def templates_of(deployment: Path, root: Path, assembly: Path | None = None) -> dict[str, Template]:
    """Return the templates of ``assembly``, or of a fresh ``cdk synth`` of ``deployment``, by stack name.

    Raises ``CdkError`` where synth fails, ``AssemblyError`` where a folder is of no use.
    """
    if assembly:
        return read_templates(assembly)
    with tempfile.TemporaryDirectory(prefix="tandem-synth-") as scratch:
        folder = Path(scratch) / "cdk.out"
        log = Path(scratch) / "cdk.log"
        cdk = Cdk(root=root, assembly=folder, environment=os.environ, log=log, say=lambda _: None)
        cdk.synth(deployment.resolve())
        return read_templates(folder)


def read_templates(folder: Path) -> dict[str, Template]:
    """Return every ``NAME.template.json`` of ``folder`` by ``NAME``, which CDK makes the stack's name."""
    try:
        found = {path.name.removesuffix(_SUFFIX): _read(path) for path in sorted(folder.glob(f"*{_SUFFIX}"))}
    except (OSError, ValueError) as error:
        raise AssemblyError(f"{folder}: got an unreadable template, {error}: synthesize it anew") from error
    if not found:
        raise AssemblyError(f"{folder}: got no *{_SUFFIX}, allowed is a folder that cdk synth wrote")
    return found


def _read(path: Path) -> Template:
    template = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(template, dict):
        raise ValueError(f"{path.name} is a {type(template).__name__}, not a mapping")
    return template
