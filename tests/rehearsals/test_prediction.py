"""Replay a small trace through a rehearsal by a real client, and the same trace in the simulator: they must agree.

What the simulator is told is how long each prompt was computed and each answer decoded; it must find by itself who
waits for whom, and how long.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tandem.rehearsal.clients.prompts import Answer, Prompt, ask
from tandem.rehearsal.run import Rehearsal
from tandem.rehearsal.tasks.service import Service
from tandem.simulation.replay import replay
from tandem.spec.read import parse
from tandem.traces.synthetic import Synthetic, generate
from tandem.traces.trace import Trace
from tests.rehearsals.measured import Run

pytestmark = pytest.mark.rehearsal

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "deployments" / "rehearsal.yaml"
LIGHT: Final = Synthetic(rate=0.5, seconds=60, prompt=300, prompt_cv=0.6, answer=12, answer_cv=0.4, seed=6)
"""About a third of what one worker and two cores can do, on a quiet machine."""
CROWD: Final = Synthetic(rate=4, seconds=5, burst=0.5, prompt=300, prompt_cv=0.6, answer=12, answer_cv=0.4, seed=7)
"""Several times of it, for a while: what ends the run is how fast prompts are worked off."""
ERROR: Final = 0.15


def test_the_simulator_tells_what_a_rehearsal_did(tmp_path: Path) -> None:
    deployment, _ = parse(FILE.read_text(), FILE)
    assert deployment
    rehearsal = Rehearsal(FILE, deployment, root=ROOT, work=tmp_path, say=lambda text, end="": None)

    def scenario(service: Service) -> None:
        sent(service, generate(Synthetic(rate=1, seconds=2, prompt=300, answer=12)))  # connections, pages of memory
        told = {}
        for name, traffic in (("light", LIGHT), ("crowd", CROWD)):
            trace, run = generate(traffic), Run(service, deployment)
            with run.watched():
                answers, seconds = sent(service, trace)
            found = replay(run.site(answers), run.trace(trace, answers))
            assert found.answered == len(answers)
            told[name] = {
                "ttft_p50": (float(np.median([answer.ttft_ms for answer in answers])) / 1e3, np.median(found.ttft)),
                "requests_per_second": (len(answers) / seconds, found.requests_per_second),
            }
        print(json.dumps(told, indent=2))
        for figures in told.values():
            for seen, said in figures.values():
                assert said == pytest.approx(seen, rel=ERROR)

    rehearsal.run([], hold=lambda service, _: scenario(service))


def sent(service: Service, trace: Trace) -> tuple[list[Answer], float]:
    """Ask each request of ``trace`` at its time; return the answers, and how long it took until the last had ended."""
    rng, began = np.random.default_rng(1), time.perf_counter()

    def one(moment: float, prompt: Prompt) -> Answer:
        time.sleep(max(0.0, began + moment - time.perf_counter()))  # the trace's own time
        return ask(service.url, service.key, service.model, prompt, lambda _: None)

    prompts = [
        Prompt(name=str(number), text=words(rng, int(size)), max_tokens=int(answer))
        for number, (size, answer) in enumerate(zip(trace.prompt_tokens, trace.answer_tokens, strict=True))
    ]
    with ThreadPoolExecutor(len(trace)) as pool:
        answers = list(pool.map(one, trace.seconds.tolist(), prompts))
    return answers, time.perf_counter() - began


def words(rng: np.random.Generator, count: int) -> str:
    """Return a prompt of about ``count`` tokens that nobody sent before."""
    return " ".join(rng.choice(["time", "year", "people", "way", "day", "man", "thing", "world"], count))
