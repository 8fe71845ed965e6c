"""Make tests hold on a busy machine and in the background of a shell; synthesize once what many look at."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_TESTS = Path(__file__).parent

# property tests hold what the code does, not how fast
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
# what CI judges a commit by; whoever runs the tests by hand searches further
settings.register_profile("repeatable", settings.get_profile("busy"), derandomize=True, database=None)
settings.load_profile("busy")

# a shell has what it starts in the background ignore SIGINT, and that would pass on to every child
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have one process run what is below one conftest.py: it shares what a session starts, and loopback addresses."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(_area(item.path.parent))))


def _area(folder: Path) -> Path:
    """Return the innermost of the folders around tests that has a conftest.py but this one; without any, their own."""
    shared = [each for each in (folder, *folder.parents) if _TESTS in each.parents and (each / "conftest.py").exists()]
    return shared[0] if shared else folder


def pytest_collection_finish() -> None:
    """Keep what was imported out of every collection of garbage: to look through it takes a quarter of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """Have what a module leaves open fail there: as garbage it would be found in whichever test runs by then."""
    yield
    gc.collect()
    gc.freeze()  # caches and the session hold what is left: to look through it at every module's end takes seconds


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the assembly of every example and registrar by name."""
    # what starts no Node needs no aws_cdk
    from tests.assemblies import synthesize

    return synthesize(tmp_path_factory.mktemp("assemblies"))
