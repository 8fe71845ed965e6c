"""What ships holds the packages it needs, and nothing that changes by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App
from dockerfile_parse import DockerfileParser  # type: ignore[import-untyped] # ships no types

from app import build
from tests.documents import deployment
from tests.templates import context

_ROOT = Path(__file__).parents[3]


def _assets(outdir: Path) -> dict[str, list[str]]:
    app = App(outdir=str(outdir), context=context() | {"@aws-cdk/core:validateAgainstDefaultRules": False})
    build(app, deployment())
    app.synth()
    return {
        folder.name: sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
        for folder in outdir.glob("asset.*")
        if (folder / "runtime").exists()
    }


def test_each_asset_holds_the_wire_and_its_own_package_and_no_cache(tmp_path: Path) -> None:
    found = _assets(tmp_path)
    packages = {frozenset(file.split("/")[1] for file in files) for files in found.values()}
    shared = {"__init__.py", "handoff"}
    assert packages == {frozenset(shared | own) for own in ({"prefill", "connector"}, {"gateway"}, {"functions"})}
    assert not [file for files in found.values() for file in files if "__pycache__" in file or file.endswith(".pyc")]


def test_running_the_code_does_not_change_what_ships(tmp_path: Path) -> None:
    before = _assets(tmp_path / "before")
    cache = _ROOT / "runtime" / "handoff" / "__pycache__"
    cache.mkdir(exist_ok=True)
    extra = cache / "made_by_test.cpython-311.pyc"
    extra.write_bytes(b"x")
    try:
        assert _assets(tmp_path / "after") == before
    finally:
        extra.unlink()


@pytest.mark.parametrize(("package", "others"), [("prefill", ["connector"]), ("gateway", [])])
def test_an_image_copies_only_what_its_asset_holds(package: str, others: list[str]) -> None:
    parser = DockerfileParser(path=str(_ROOT / "runtime" / package))
    copied = [line["value"].split()[0] for line in parser.structure if line["instruction"] == "COPY"]
    assert copied
    allowed = {"runtime/__init__.py", *(f"runtime/{each}" for each in ("handoff", package, *others))}
    assert all(any(source == each or source.startswith(f"{each}/") for each in allowed) for source in copied)


def test_the_workers_image_takes_its_base_from_the_deployment_file() -> None:
    parser = DockerfileParser(path=str(_ROOT / "runtime" / "prefill"))
    instructions = [(line["instruction"], line["value"]) for line in parser.structure]
    assert ("FROM", "${BASE_IMAGE}") in instructions


def test_images_are_built_for_the_hosts_processor(tmp_path: Path) -> None:
    _assets(tmp_path)
    images: list[dict[str, Any]] = [
        image["source"]
        for manifest in tmp_path.glob("*.assets.json")
        for image in json.loads(manifest.read_text())["dockerImages"].values()
    ]
    assert {image["platform"] for image in images} == {"linux/amd64"}
    assert {image["dockerFile"] for image in images} == {"runtime/prefill/Dockerfile", "runtime/gateway/Dockerfile"}
