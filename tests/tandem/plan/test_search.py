"""The smallest size that meets targets: it is found, one fewer misses, and what cannot be met is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandem.cli import main
from tandem.plan import shape as shapes
from tandem.plan.advice import limits, unmet
from tandem.plan.recommend import busiest_part
from tandem.plan.search import Found, Search
from tandem.plan.targets import Targets, duration
from tandem.spec.read import read
from tandem.traces.spread import most_at_once, spread
from tandem.traces.synthetic import Synthetic, generate
from tests.documents import deployment
from tests.tandem.simulation.sites import trace as columns

LLAMA: dict[str, Any] = {"model__id": "meta-llama/Llama-3.3-70B-Instruct", "model__max_model_len": 32_768}
FILE = deployment(**LLAMA, decode__systems=4)
TRAFFIC = generate(Synthetic(rate=4, seconds=150, prompt=4000, prompt_cv=0.5, answer=200))
EASY = Targets(ttft_p99=1.5, tpot_p99=0.002)
EXAMPLE = Path(__file__).parents[3] / "deployments" / "llama-3.3-70b-trn2-cs3.yaml"


def found(shape: shapes.Shape, targets: Targets) -> Found:
    return Search(shape, TRAFFIC, lambda: None).find(targets, (1, 4))


@pytest.fixture(scope="module")
def easy() -> Found:
    return found(shapes.handoff(FILE, None), EASY)


def test_the_point_meets_the_targets_and_one_machine_fewer_does_not(easy: Found) -> None:
    assert not easy.unmet
    assert easy.aimed == EASY
    assert not EASY.missed(easy.point.found)
    for below in easy.below:
        assert below is None or EASY.missed(below.found)
    assert easy.below[0] is not None


def test_each_size_is_there_for_a_reason(easy: Found) -> None:
    told = "\n".join(limits(easy))
    assert "trn2.48xlarge for prefill: with one fewer, TTFT p99 is" in told
    assert "(prefill compute)" in told
    assert "CS-3" in told


def test_tighter_targets_never_take_fewer_machines(easy: Found) -> None:
    tight = found(shapes.handoff(FILE, None), replace(EASY, ttft_p99=1.0))
    assert tight.point.size[0] >= easy.point.size[0]


def test_what_nothing_meets_is_named_with_its_limit_and_what_would_have_to_change() -> None:
    hopeless = Targets(ttft_p99=0.05, tpot_p99=0.0001)
    answer = found(shapes.handoff(FILE, None), hopeless)
    assert set(answer.unmet) == {"ttft", "tpot"}
    first, second = unmet(answer, hopeless)
    assert "TTFT p99 50 ms cannot be met" in first
    assert "bound by prefill compute" in first
    assert "TPOT p99 0.1 ms cannot be met: 0.476 ms at best, bound by the CS-3's published speed" in second
    assert "4.8 x as fast" in second
    # what is recommended all the same comes near to the best there is
    assert answer.point.found.ttft.p99 <= 1.1 * answer.floor.found.ttft.p99


def test_trainium_alone_is_bound_by_its_bandwidth() -> None:
    answer = found(shapes.aggregated(FILE), EASY)
    assert answer.unmet == ("tpot",)
    assert "bound by HBM bandwidth of the decoding workers" in next(unmet(answer, EASY))


def test_decode_on_trainium_is_searched_along_both_sizes() -> None:
    given = deployment("vllm", **LLAMA)
    answer = Search(shapes.handoff(given, None), TRAFFIC, lambda: None).find(
        Targets(ttft_p99=3.0, tpot_p99=0.04, refused=0.0), (1, 1)
    )
    assert not answer.unmet
    assert answer.point.size[1] > 1
    assert answer.point.hourly.usd == pytest.approx(sum(answer.point.size) * 35.7608)


def test_a_price_of_a_system_counts() -> None:
    priced = shapes.handoff(FILE, 100.0).hourly(2, 5)
    assert priced.usd == pytest.approx(2 * 35.7608 + 500)
    assert not priced.unknown
    assert shapes.handoff(FILE, None).hourly(2, 5).unknown == {"CS-3"}


def test_the_busiest_part_of_a_long_trace_stands_for_it() -> None:
    given = columns(
        np.array([0.0, 10, 20, 21, 22, 40]), np.full(6, 100), np.arange(6) + 1, [[index] for index in range(6)]
    )
    part = busiest_part(given, 3)
    assert part.answer_tokens.tolist() == [3, 4, 5]
    assert part.seconds.tolist() == [0, 1, 2]
    assert (part.blocks.tolist(), part.ends.tolist()) == ([2, 3, 4], [1, 2, 3])
    assert busiest_part(given, 6) is given


def test_requests_of_one_moment_are_set_apart() -> None:
    given = columns(np.array([0.0, 0, 0, 3, 3]), np.full(5, 9), np.full(5, 9))
    assert most_at_once(given) == 3
    assert spread(given).seconds.tolist() == [0, 1, 2, 3, 3]


@pytest.mark.parametrize(("text", "seconds"), [("2s", 2), ("1.5ms", 0.0015), ("250us", 0.00025)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["2", "0s", "-1s", "2m", "", "2 s 3", "nans"])
def test_durations_of_no_use(text: str) -> None:
    with pytest.raises(ValueError, match="a positive number with us, ms or s is needed"):
        duration(text)


def test_the_command_recommends_draws_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, out = tmp_path / "plan.html", tmp_path / "out.yaml"
    asked = ["plan", str(EXAMPLE), "--trace", "synthetic:rate=3,seconds=100,prompt=3000,prompt_cv=0.3"]
    aims = ["--ttft-p99", "2s", "--tpot-p99", "2ms", "--html", str(html), "--write", str(out)]
    assert main([*asked, *aims]) == 0
    told = capsys.readouterr().out
    assert "recommended: " in told
    assert "aggregated Trainium" in told
    assert "text handoff" in told
    assert "prefill a fifth slower" in told
    assert html.read_text().count("<svg") == 5
    written, findings = read(out)
    assert written is not None
    assert not [finding for finding in findings if finding.severity == "ERROR"]
    before, after = EXAMPLE.read_text().splitlines(), out.read_text().splitlines()
    assert len(before) == len(after)  # comments and order stay
    assert main([*asked, *aims[:6], "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["recommended"]["machines"]["CS-3"] == written.decode.systems  # type: ignore[union-attr]
    assert {each["kind"] for each in document["alternatives"]} == {"aggregated Trainium", "text handoff"}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--ttft-p99", "2s"], 2, "--ttft-p99, --tpot-p99 and --trace are needed together"),
        (["--ttft-p99", "2s", "--tpot-p99", "2ms", "--trace", "absent"], 1, "No such file"),
        (["--ttft-p99", "2s", "--tpot-p99", "2ms", "--trace", "synthetic:x"], 1, "'x' is unknown or given twice"),
    ],
)
def test_a_command_of_no_use_is_told(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(EXAMPLE), *arguments]) == status
    assert message in capsys.readouterr().err
