"""The tree's own rules: where modules stand, how long they are, and which way imports run."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_FOLDERS = ("stacks", "constructs", "runtime", "tandem", "tests", "benchmarks")
_CONSTRUCTS = sorted((_ROOT / "constructs").rglob("*.py"))
_DEPLOYED_BY = [*sorted((_ROOT / "stacks").rglob("*.py")), *_CONSTRUCTS]


def test_constructs_is_no_regular_package() -> None:
    """Keep ``__init__.py`` away: one would hide the library of that name, and nothing could be imported any more."""
    assert not list((_ROOT / "constructs").rglob("__init__.py"))


def test_constructs_stand_one_folder_deep() -> None:
    """Keep modules below an area: beside them PyPI's own modules would win, and type checkers lose their way."""
    depths = {path: len(path.relative_to(_ROOT / "constructs").parts) for path in _CONSTRUCTS}
    assert {path for path, depth in depths.items() if depth != 2} == set()


def test_files_stay_short() -> None:
    paths = [_ROOT / "app.py", *(path for folder in _FOLDERS for path in sorted((_ROOT / folder).rglob("*.py")))]
    long = {
        str(path.relative_to(_ROOT)): lines for path in paths if (lines := len(path.read_text().splitlines())) >= 350
    }
    assert long == {}


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([str(lint), "--no-cache"], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _importing(folder: str, *packages: str) -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(_ROOT)), module)
        for path in sorted((_ROOT / folder).rglob("*.py"))
        for module in sorted(_imports(path))
        if module.split(".")[0] in packages
    ]


def test_what_ships_knows_nothing_of_its_deployment() -> None:
    # import-linter sees no namespace packages and no libraries, hence this check beside its contracts
    assert _importing("runtime", "aws_cdk", "constructs", "cdk_nag", "stacks", "tandem", "app", "tests") == []


def test_reading_a_deployment_file_starts_no_node() -> None:
    assert _importing("tandem", "aws_cdk", "constructs", "cdk_nag", "stacks", "app") == []


def test_constructs_know_no_stack() -> None:
    assert _importing("constructs", "stacks", "app", "tests") == []


def test_constructs_take_only_constants_from_what_ships() -> None:
    assert {module for _, module in _importing("constructs", "runtime")} == {
        "runtime.handoff",
        "runtime.handoff.contract",
        "runtime.handoff.fabric",
        "runtime.handoff.metrics",
        "runtime.handoff.settings",
    }


_AMBIENT = {"environ", "getenv", "try_get_context", "get_all_context"}


def _ambient(path: Path) -> set[str]:
    """Return the names by which a module reads what its caller did not hand it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return names & _AMBIENT


@pytest.mark.parametrize("path", _DEPLOYED_BY, ids=lambda path: str(path.relative_to(_ROOT)))
def test_only_the_app_reads_context_and_environment(path: Path) -> None:
    assert _ambient(path) == set()


def test_the_app_does_read_context() -> None:
    assert _ambient(_ROOT / "app.py") == {"try_get_context"}
