"""What a trace asks of a deployment, as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tandem.cli import main
from tandem.plan.carry import carried, document, text
from tandem.simulation.deployed import UnknownFigureError
from tandem.traces.read import read
from tests.documents import deployment
from tests.tandem.traces.test_read import MOONCAKE, written

LLAMA = {"model__id": "meta-llama/Llama-3.3-70B-Instruct"}
FILE = Path(__file__).parents[3] / "deployments" / "llama-3.3-70b-trn2-cs3.yaml"


def test_the_tightest_limit_comes_first(tmp_path: Path) -> None:
    found = carried(deployment(**LLAMA, decode__systems=4), read(written(tmp_path, MOONCAKE)))
    assert [mean.resource for mean, _ in found.limits] == ["prefill compute", "EFA", "CS-3 ingress", "CS-3 memory"]
    lines = list(text(found))
    assert lines[0] == "on average: 0.0333 requests/s, prompts of 650 tokens, answers of 4"
    assert lines[2].startswith("25% of prompt blocks came before")
    uses = [float(line.rsplit(maxsplit=1)[-1].rstrip("%")) for line in lines[4:]]
    assert uses == sorted(uses, reverse=True)
    told = document(found)
    assert told["limits"][0]["needed"]["mean"] == pytest.approx(2 / 60)


def test_without_a_known_limit_it_says_what_to_do(tmp_path: Path) -> None:
    given = deployment("openai", **LLAMA)
    assert list(text(carried(given, read(written(tmp_path, MOONCAKE)))))[-1].startswith("no limit is known")


def test_a_model_without_figures_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownFigureError, match="example/model is not in the catalog, which has"):
        carried(deployment(), read(written(tmp_path, MOONCAKE)))


def test_the_command(tmp_path: Path, app: str, capsys: pytest.CaptureFixture[str]) -> None:
    trace = str(written(tmp_path, MOONCAKE))
    assert main(["plan", str(FILE), "--app", app, "--trace", trace]) == 0
    assert capsys.readouterr().out.startswith("on average: ")
    assert main(["plan", str(FILE), "--app", app, "--trace", trace, "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["load"]["reused_share"] == 0.25


@pytest.mark.parametrize(("content", "message"), [("x", "row 1, the line: "), (None, "No such file")])
def test_a_trace_of_no_use_is_told(
    tmp_path: Path, app: str, capsys: pytest.CaptureFixture[str], content: str | None, message: str
) -> None:
    trace = written(tmp_path, content) if content else tmp_path / "absent"
    assert main(["plan", str(FILE), "--app", app, "--trace", str(trace)]) == 1
    assert message in capsys.readouterr().err
