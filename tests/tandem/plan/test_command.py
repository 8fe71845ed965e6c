"""``tandem plan`` says what a deployment file asks for: today its cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tandem.cli import main

FILE = str(Path(__file__).parents[3] / "deployments" / "rehearsal.yaml")


def test_json(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", FILE, "--app", app, "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    first = told["rows"][0]
    assert (first["item"], first["unit_price"], first["per_month"]) == ("trn2.48xlarge", 35.7608, 26105.38)
    assert first["note"] == "price of a capacity block"
    assert (told["region"], told["currency"], told["hours_a_month"]) == ("us-east-2", "USD", 730)
    assert told["per_month"] > 26105.38


def test_the_endpoint_of_somebody_else_is_never_free(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", FILE, "--app", app]) == 0
    lines = capsys.readouterr().out.splitlines()
    [endpoint] = [line for line in lines if line.startswith("decode endpoint")]
    assert endpoint.endswith("https://cs3.example.com, charged by its owner")
    assert any(line.startswith("total, at least ") for line in lines)
    assert "decode endpoint" in lines[-2]


def test_a_folder_of_no_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", FILE, "--app", str(tmp_path)]) == 1
    assert "got no *.template.json" in capsys.readouterr().err


def test_a_file_with_errors_is_not_estimated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path / "absent.yaml")]) == 1
    assert capsys.readouterr().err.startswith("ERROR file-unreadable")
