"""``tandem simulate``: what is told, drawn, and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tandem.cli import main
from tests.documents import document
from tests.tandem.traces.test_read import MOONCAKE, written

EXAMPLE = str(Path(__file__).parents[3] / "deployments" / "llama-3.3-70b-trn2-cs3.yaml")


def test_text_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = tmp_path / "report.html"
    assert main(["simulate", EXAMPLE, "--trace", str(written(tmp_path, MOONCAKE)), "--html", str(html)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("2 of 2 requests answered")
    assert "prefill compute" in told
    page = html.read_text()
    assert page.count("<svg") == 4
    assert "http" not in page  # it needs no network


def test_json_holds_numbers_or_null(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["simulate", EXAMPLE, "--trace", "synthetic:rate=2,seconds=20,answer=1,answer_cv=0", "--output", "json"]
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["answered"] == 40
    assert told["tpot"]["p99"] is None  # answers of one token have no second
    assert told["refused_share"] == 0


@pytest.mark.parametrize(
    ("provider", "changes", "message"),
    [
        ("cs3", {}, "model example/model is not in the catalog"),
        ("cs3", {"model__id": "meta-llama/Llama-3.3-70B-Instruct"}, "decode.systems is missing"),
        ("cs3", {"model__id": "Qwen/Qwen3-8B", "decode__systems": 1}, "no speed of Qwen/Qwen3-8B at Cerebras"),
        ("openai", {"model__id": "Qwen/Qwen3-8B"}, "decode.provider is openai"),
    ],
)
def test_an_unknown_figure_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], provider: str, changes: dict[str, object], message: str
) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(json.dumps(document(provider, **changes)))
    assert main(["simulate", str(file), "--trace", "synthetic:rate=1"]) == 1
    assert message in capsys.readouterr().err


def test_machines_fail_as_often_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["simulate", EXAMPLE, "--trace", "synthetic:rate=2,seconds=600,answer=300", "--output", "json"]
    told = []
    for failures in ([], ["--failures", "0.01"], ["--decode-failures", "0.01"]):
        assert main([*asked, *failures]) == 0
        told.append(json.loads(capsys.readouterr().out))
    sound, prefill, decode = told
    assert sound["refused_share"] == 0
    assert prefill["refused"].keys() == {"prefill_unavailable"}
    assert decode["refused"].keys() == {"decode_unavailable"}


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "many", "10001"])
def test_a_number_of_tenants_of_no_use_is_told(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["simulate", EXAMPLE, "--trace", "synthetic:rate=1,seconds=9", "--tenants", number])
    assert "1 to 10000 are allowed" in capsys.readouterr().err
