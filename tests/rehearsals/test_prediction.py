"""Replay a small trace through a rehearsal by a real client, and the same trace in the simulator: they must agree.

What the simulator is told is when each request was sent, and how long its prompt was computed and its answer decoded;
it must find by itself who waits for whom. That is counted in requests, which a slow or busy machine leaves alone.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

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
AMISS: Final = 2
"""What two orders may differ by: two that were sent at once change places, one comes as another is answered."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def test_the_simulator_tells_what_a_rehearsal_did(tmp_path: Path) -> None:
    deployment, _ = parse(FILE.read_text(), FILE)
    assert deployment
    rehearsal = Rehearsal(FILE, deployment, root=ROOT, work=tmp_path, say=lambda text, end="": None)

    def scenario(service: Service) -> None:
        sent(service, generate(Synthetic(rate=1, seconds=2, prompt=300, answer=12)))  # connections, pages of memory
        for traffic in LIGHT, CROWD:
            trace, run = generate(traffic), Run(service, deployment)
            with run.watched():
                seconds, answers = sent(service, trace)
            found = replay(run.site(answers), run.trace(replace(trace, seconds=seconds), answers))
            assert found.answered == len(answers)
            ttft = np.array([answer.ttft_ms for answer in answers]) / 1e3
            seen, said = served_before(seconds, ttft), served_before(seconds, found.ttft)
            print(json.dumps({"ttft_p50": [np.median(ttft), np.median(found.ttft)], "seen": seen.tolist()}))
            assert np.abs(seen - said).max() <= AMISS, (seen, said)
        assert seen.any(), "a crowd waits, one for the other"

    rehearsal.run([], hold=lambda service, _: scenario(service))


def sent(service: Service, trace: Trace) -> tuple[Floats, list[Answer]]:
    """Ask each request of ``trace`` at its time; return when each was really sent, and its answer, in this order."""
    rng, began = np.random.default_rng(1), time.perf_counter()

    def one(moment: float, prompt: Prompt) -> tuple[float, Answer]:
        time.sleep(max(0.0, began + moment - time.perf_counter()))  # the trace's own time
        return time.perf_counter() - began, ask(service.url, service.key, service.model, prompt, lambda _: None)

    prompts = [
        Prompt(name=str(number), text=words(rng, int(size)), max_tokens=int(answer))
        for number, (size, answer) in enumerate(zip(trace.prompt_tokens, trace.answer_tokens, strict=True))
    ]
    with ThreadPoolExecutor(len(trace)) as pool:
        pairs = sorted(pool.map(one, trace.seconds.tolist(), prompts), key=lambda pair: pair[0])
    return np.array([seconds for seconds, _ in pairs]), [answer for _, answer in pairs]


def served_before(seconds: Floats, ttft: Floats) -> Integers:
    """Return how many others got their first token while each request waited for its own."""
    first = seconds + ttft
    served: Integers = ((seconds[:, None] < first) & (first < first[:, None])).sum(axis=1)
    return served


def words(rng: np.random.Generator, count: int) -> str:
    """Return a prompt of about ``count`` tokens that nobody sent before."""
    return " ".join(rng.choice(["time", "year", "people", "way", "day", "man", "thing", "world"], count))
