"""Keep container images as folders: what a Dockerfile sets, and the files that it copies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

STORE_VARIABLE = "TANDEM_REHEARSAL_IMAGES"
"""Name the environment variable that says where images are kept."""


class ImageError(Exception):
    """Tell why an image cannot be built or found."""


@dataclass(frozen=True)
class Image:
    """Describe an image: what its Dockerfile sets, and ``rootfs``, where its COPY instructions put files.

    The files of ``base`` are not there: no registry is asked for them. ``build_args`` are those the build was given.
    """

    base: str
    rootfs: Path
    workdir: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    user: str | None = None
    exposed: tuple[str, ...] = ()
    platform: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)


def save(store: Path, tag: str, image: Image) -> None:
    """Keep ``image`` under ``tag``, in place of any other."""
    folder = _folder(store, tag)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "image.json").write_text(json.dumps(asdict(image) | {"rootfs": str(image.rootfs)}, indent=2) + "\n")


def load(store: Path, tag: str) -> Image:
    """Return the image of a tag or image URI; raise ``ImageError`` if there is none."""
    path = _folder(store, tag) / "image.json"
    if not path.exists():
        known = ", ".join(sorted(tags(store))) or "none"
        raise ImageError(f"there is no image {tag}; there are: {known}")
    kept: dict[str, Any] = json.loads(path.read_text())
    lists = {key: tuple(kept[key]) for key in ("entrypoint", "cmd", "exposed")}
    return Image(**kept | lists | {"rootfs": Path(kept["rootfs"])})


def tags(store: Path) -> list[str]:
    """Return every tag in the store."""
    return [(path.parent / "tag").read_text() for path in store.glob("*/tag")]


def copy_tag(store: Path, source: str, target: str) -> None:
    """Let ``target`` name the image of ``source`` too."""
    image = load(store, source)
    save(store, target, image)
    (_folder(store, target) / "tag").write_text(target)


def new_rootfs(store: Path, tag: str) -> Path:
    """Return an empty folder for the files of a new image under ``tag``."""
    folder = _folder(store, tag)
    shutil.rmtree(folder, ignore_errors=True)
    rootfs = folder / "rootfs"
    rootfs.mkdir(parents=True)
    (folder / "tag").write_text(tag)
    return rootfs


def _folder(store: Path, tag: str) -> Path:
    return store / quote(tag, safe="")
