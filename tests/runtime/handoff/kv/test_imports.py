"""Images and functions that copy ``runtime/handoff`` and never touch KV need no numpy."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_RUNTIME = Path(__file__).parents[4] / "runtime"


@pytest.mark.parametrize("folder", ["gateway", "functions", "prefill"])
def test_what_only_passes_parameters_on_imports_no_kv(folder: str) -> None:
    modules = {
        name
        for path in (_RUNTIME / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _names(node)
    }
    assert not {name for name in modules if name.split(".")[0] == "numpy" or name.startswith("runtime.handoff.kv")}


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []
