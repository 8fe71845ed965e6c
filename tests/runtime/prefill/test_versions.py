"""Versions are read from what is installed, and what is not is left out."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from runtime.prefill import versions


def test_what_compiles_and_what_moves_kv_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_SDK", ("pytest", "no-such-package"))
    monkeypatch.setattr(versions, "_TRANSFER", ("boto3",))
    assert versions.sdk() == {"pytest": version("pytest")}
    assert versions.software() == {"pytest": version("pytest"), "boto3": version("boto3")}
