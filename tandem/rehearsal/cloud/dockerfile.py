"""Build an image from a Dockerfile without Docker: follow its instructions as far as the rehearsal needs them.

Known are ARG, FROM, WORKDIR, ENV, COPY, RUN (pip install -r, PROGRAM version), USER, EXPOSE, ENTRYPOINT and CMD.
Anything else is refused, since to pass over it would rehearse another image than the one that ships.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path

from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped] # ships no types
from packaging.requirements import Requirement

from tandem.rehearsal.cloud.images import Image, ImageError

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
_PIP = re.compile(r"(?:(?:python3?|\$\{?\w+\}?) -m )?pip3? install\b(.*)")
_NEEDED = re.compile(r"([\w-]+) version")


@dataclass
class Build:
    """Follow one Dockerfile over a build context."""

    context: Path
    rootfs: Path
    build_args: Mapping[str, str]
    base: str = ""
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str | None = None
    exposed: tuple[str, ...] = ()

    def run(self, dockerfile: Path, platform: str | None) -> Image:
        """Follow every instruction and return the image; raise ``ImageError`` at the first that cannot be."""
        if not dockerfile.is_file():
            raise ImageError(f"there is no Dockerfile {dockerfile}")
        for instruction in DockerfileParser(fileobj=io.BytesIO(dockerfile.read_bytes())).structure:
            name = instruction["instruction"]
            if name == "COMMENT":
                continue
            try:
                self._follow(name, instruction["value"])
            except ImageError as error:
                line = instruction["startline"] + 1
                raise ImageError(f"{dockerfile.name} line {line}: {name} {error}") from error
        if not self.base:
            raise ImageError(f"{dockerfile.name} has no FROM")
        kept = {key: getattr(self, key) for key in ("base", "workdir", "env", "entrypoint", "cmd", "user", "exposed")}
        return Image(**kept, rootfs=self.rootfs, platform=platform, build_args=dict(self.build_args))

    def _follow(self, name: str, value: str) -> None:
        step = _STEPS.get(name)
        if step is None:
            raise ImageError(f"is not rehearsed; allowed: {', '.join(_STEPS)}")
        step(self, value)

    def substitute(self, text: str) -> str:
        """Return ``text`` with the variables of ARG and ENV; an unset one without a default is an error."""
        known = {**self.args, **self.env}

        def value(match: re.Match[str]) -> str:
            name, default = match.group(1) or match.group(3), match.group(2)
            if name not in known and default is None:
                raise ImageError(f"uses ${name}, which neither ARG nor ENV sets")
            return known.get(name, default or "")

        return _VARIABLE.sub(value, text)

    def inside(self, path: str) -> Path:
        """Return where a path of the image is on this machine."""
        return self.rootfs / posixpath.normpath(posixpath.join("/", self.workdir, path)).lstrip("/")


def _arg(build: Build, value: str) -> None:
    name, equals, default = value.partition("=")
    if name in build.build_args:
        build.args[name] = build.build_args[name]
    elif equals:
        build.args[name] = build.substitute(shlex.split(default)[0] if default else "")


def _from(build: Build, value: str) -> None:
    words = build.substitute(value).split()
    if build.base or len(words) != 1:
        raise ImageError(f"{value}: only one stage without a name is rehearsed")
    build.base = words[0]


def _workdir(build: Build, value: str) -> None:
    build.workdir = posixpath.normpath(posixpath.join("/", build.workdir, build.substitute(value)))
    build.inside(".").mkdir(parents=True, exist_ok=True)


def _env(build: Build, value: str) -> None:
    for pair in shlex.split(build.substitute(value)):
        name, equals, text = pair.partition("=")
        if not equals:
            raise ImageError(f"{value}: write NAME=value")
        build.env[name] = text


def _copy(build: Build, value: str) -> None:
    words = _words(build, value)
    flags = [word for word in words if word.startswith("--")]
    if any(not flag.startswith(("--chown=", "--chmod=")) for flag in flags):
        raise ImageError(f"{' '.join(flags)} is not rehearsed; allowed: --chown, --chmod")
    *sources, target = [word for word in words if word not in flags]
    if len(sources) > 1 and not target.endswith("/"):
        raise ImageError(f"{value}: with several sources the destination must end with /")
    for pattern in sources:
        found = (
            sorted(build.context.glob(pattern.strip("/"))) if pattern.strip("/") not in ("", ".") else [build.context]
        )
        if not found:
            raise ImageError(f"{pattern}: there is no such file in the build context")
        for source in found:
            _put(source, build.inside(target), into=target.endswith("/") or len(found) > 1)


def _put(source: Path, target: Path, *, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
        return
    target = target / source.name if into or target.is_dir() else target
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _run(build: Build, value: str) -> None:
    for command in re.split(r"\s*&&\s*", value.strip()):
        if needed := _NEEDED.fullmatch(command):
            _require_program(needed[1])
            continue
        match = _PIP.fullmatch(command)
        if match is None:
            raise ImageError(f"{command}: only 'pip install -r FILE' and 'PROGRAM version' are rehearsed")
        files = _requirement_files(shlex.split(match.group(1)))
        if not files:
            raise ImageError(f"{command}: names no requirements file; use -r FILE")
        for file in files:
            _check_installed(build.inside(file))


def _require_program(name: str) -> None:
    if shutil.which(name) is None:
        raise ImageError(f"{name} is not installed here, so the image cannot be rehearsed")


def _requirement_files(words: list[str]) -> list[str]:
    return [after for word, after in pairwise(words) if word in ("-r", "--requirement")]


def _check_installed(file: Path) -> None:
    """Raise ``ImageError`` unless every requirement is installed here; another version is a warning."""
    if not file.is_file():
        raise ImageError(f"requirements file {file.name} is not in the image")
    for wanted in _requirements(file.read_text()):
        if wanted.marker and not wanted.marker.evaluate():
            continue
        try:
            have = version(wanted.name)
        except PackageNotFoundError as error:
            raise ImageError(f"{wanted} is not installed here, so the image cannot be rehearsed") from error
        if not wanted.specifier.contains(have, prereleases=True):
            print(f"warning: the image has {wanted}, the rehearsal {wanted.name} {have}", file=sys.stderr)


def _requirements(text: str) -> Iterator[Requirement]:
    for line in text.replace("\\\n", " ").splitlines():
        stated = re.split(r"\s+#|\s--hash", line.strip())[0].strip()
        if stated and not stated.startswith(("#", "-")):
            yield Requirement(stated)


def _words(build: Build, value: str) -> list[str]:
    """Return an instruction's words, from its JSON or its plain form."""
    text = build.substitute(value)
    return json.loads(text) if text.lstrip().startswith("[") else shlex.split(text)


def _command(value: str) -> tuple[str, ...]:
    return tuple(json.loads(value)) if value.lstrip().startswith("[") else ("/bin/sh", "-c", value)


def _user(build: Build, value: str) -> None:
    build.user = build.substitute(value)


def _expose(build: Build, value: str) -> None:
    build.exposed += tuple(build.substitute(value).split())


def _entrypoint(build: Build, value: str) -> None:
    build.entrypoint = _command(value)


def _cmd(build: Build, value: str) -> None:
    build.cmd = _command(value)


_STEPS: dict[str, Callable[[Build, str], None]] = {
    "ARG": _arg,
    "FROM": _from,
    "WORKDIR": _workdir,
    "ENV": _env,
    "COPY": _copy,
    "RUN": _run,
    "USER": _user,
    "EXPOSE": _expose,
    "ENTRYPOINT": _entrypoint,
    "CMD": _cmd,
}
