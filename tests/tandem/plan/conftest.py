"""A cloud assembly of the smallest deployment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.templates import templates


@pytest.fixture
def app(tmp_path: Path) -> str:
    for kind, template in templates("cs3").items():
        (tmp_path / f"small-{kind}.template.json").write_text(json.dumps(template))
    return str(tmp_path)
