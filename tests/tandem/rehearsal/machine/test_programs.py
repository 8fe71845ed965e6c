"""An image's programs have local stand-ins, or the rehearsal says that there are none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from constructs.gateway import collector
from tandem.rehearsal.machine.programs import (
    ENDPOINTS,
    SIDECARS,
    STAND_INS,
    ProgramError,
    programs_folder,
    sidecar_program,
)
from tandem.spec.workers import NEURON_VLLM_IMAGE

ROOT = Path(__file__).parents[4]
PYTHON_IMAGE = "public.ecr.aws/docker/library/python"
DIGEST = "@sha256:" + "0" * 64


def run(folder: Path, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def test_knows_the_image_that_deployments_use_by_default(tmp_path: Path) -> None:
    assert (programs_folder(NEURON_VLLM_IMAGE, tmp_path, ROOT) / "vllm").exists()


@pytest.mark.parametrize("suffix", ["", ":3.13-slim", DIGEST, f":3.13-slim{DIGEST}"])
def test_knows_an_image_by_any_tag_or_digest(tmp_path: Path, suffix: str) -> None:
    folder = programs_folder(PYTHON_IMAGE + suffix, tmp_path / "with a 'quote", ROOT)
    assert [path.name for path in folder.iterdir()] == ["python3"]


@pytest.mark.parametrize(
    "image", ["vllm/vllm-openai:v0.11", "example.com:5000/vllm", f"example.com:5000/{PYTHON_IMAGE}:3", "", ":", "@x"]
)
def test_refuses_an_image_without_a_stand_in(tmp_path: Path, image: str) -> None:
    with pytest.raises(ProgramError, match="has no local stand-in; those with one are public") as raised:
        programs_folder(image, tmp_path, ROOT)
    assert image in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_python3_is_this_interpreter_where_the_program_runs(tmp_path: Path) -> None:
    folder = programs_folder(PYTHON_IMAGE, tmp_path, ROOT)
    source = "import os, sys; print(sys.executable, os.getcwd(), sys.argv[1:])"
    done = run(folder, "python3", "-c", source, "a b", '"', cwd=tmp_path)
    assert done.stdout == f"{sys.executable} {tmp_path} {['a b', chr(34)]}\n", done.stderr


def test_vllm_is_the_stand_in_wherever_the_image_starts_it(tmp_path: Path) -> None:
    done = run(programs_folder(NEURON_VLLM_IMAGE, tmp_path, ROOT), "vllm", "serve", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--kv-transfer-config" in done.stdout


def test_vllm_is_found_in_a_checkout_with_any_name(tmp_path: Path) -> None:
    root = tmp_path / "a $checkout's `name`"
    package = root / "runtime" / "standins"
    package.mkdir(parents=True)
    (root / "runtime" / "__init__.py").touch()
    (package / "vllm.py").write_text("import sys; print(sys.argv[1:])")
    done = run(programs_folder(NEURON_VLLM_IMAGE, tmp_path / "programs", root), "vllm", "serve", cwd=tmp_path)
    assert done.stdout == "['serve']\n", done.stderr


def test_every_stand_in_is_there() -> None:
    modules = [module for programs in STAND_INS.values() for module in programs.values()]
    for module in [*modules, *ENDPOINTS.values()]:
        assert importlib.util.find_spec(module) is not None


def test_the_collector_that_is_deployed_has_a_stand_in() -> None:
    module, port = sidecar_program(collector.IMAGE)
    assert importlib.util.find_spec(module)
    assert port == 4318, "OTLP's own, over HTTP"
    assert all(importlib.util.find_spec(module) for module, _ in SIDECARS.values())


def test_a_sidecar_without_a_stand_in_is_named() -> None:
    with pytest.raises(ProgramError, match=r"image example\.com/envoy:1 has no local stand-in; those with one are"):
        sidecar_program("example.com/envoy:1")
