"""Measure the simulator: an hour of a trace on one core, how cost grows with requests, and a whole plan's search.

Without ``--trace``, requests are drawn with the means and spread of Mooncake's conversation trace, and four in ten
prompt blocks repeated. Goals: 12,000 requests through 32 workers and 8 endpoints in 5 s; a million in the same time a
request and 1 GB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from runtime.gateway.admission.limits import Capacity, Limits
from tandem.catalog.machines import machines
from tandem.catalog.models import models
from tandem.simulation import deployed
from tandem.simulation.replay import replay
from tandem.simulation.site import Pool, Site
from tandem.sizing.worker import Worker
from tandem.traces.load import load
from tandem.traces.synthetic import Synthetic, generate
from tandem.traces.trace import Trace

HOUR: Final = 12_000
GOAL_SECONDS: Final = 5.0
GOAL_BYTES: Final = 10**9
_BLOCK: Final = 512


def site() -> Site:
    """Return Llama 3.3 70B on 32 trn2.48xlarge and 8 endpoints of 5 CS-3."""
    model, table = models()["meta-llama/Llama-3.3-70B-Instruct"], machines()
    worker = Worker.on(model, table.accelerators["trainium2"], 16, table)
    return Site(
        model=model,
        context=131_072,
        prefill=(Pool(name="trn2", count=32, worker=worker, egress=200e9),),
        decode=deployed.wafers(model, 40, endpoints=8),
        max_num_seqs=16,
        decode_max_num_seqs=16,
        max_num_batched_tokens=8192,
        lease_seconds=30.0,
        gateways=2,
        admission=Capacity(running=256, waiting=128, wait_seconds=10.0),
        tenant=Limits(),
        call_seconds=0.002,
    )


def drawn(count: int) -> Trace:
    """Return ``count`` requests like Mooncake's, at its rate, with prefixes that come again."""
    traffic = Synthetic(rate=3.4, seconds=count / 3.4, prompt=12_000, prompt_cv=1.3, answer=343, answer_cv=0.8)
    bare = generate(traffic)
    # a context like theirs: nobody sends more than the model takes
    prompts = np.minimum(bare.prompt_tokens, 120_000)
    lengths = -(-prompts // _BLOCK)
    ends = np.cumsum(lengths)
    blocks = np.arange(int(ends[-1]))
    rng = np.random.default_rng(2)
    for index in np.flatnonzero(rng.random(count) < 0.4).tolist():
        # the beginning of one of the last thousand prompts
        other = max(0, index - 1 - int(rng.integers(1000)))
        same = int(min(lengths[index], lengths[other]))
        mine, theirs = int(ends[index] - lengths[index]), int(ends[other] - lengths[other])
        blocks[mine : mine + same] = blocks[theirs : theirs + same]
    return replace(bare, prompt_tokens=prompts, blocks=blocks, ends=ends, block_tokens=_BLOCK)


def timed(trace: Trace) -> float:
    """Replay ``trace``, print what it took, and return the CPU seconds."""
    began = time.process_time()
    found = replay(site(), trace)
    took = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{len(trace):>9,} requests  {took:7.1f} s  {took / len(trace) * 1e6:6.0f} us each  "
        f"{peak / 1e6:6.0f} MB at most  {found.answered:,} answered",
        flush=True,
    )
    return took


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the curve; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", help="replay this one first")
    parser.add_argument("--most", type=int, default=1_000_000, help="the largest number of requests")
    given = parser.parse_args(arguments)
    hour = timed(load(given.trace) if given.trace else drawn(HOUR))
    for count in (10_000, 100_000, 1_000_000):
        if count <= given.most:
            timed(drawn(count))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return 0 if hour <= GOAL_SECONDS and peak <= GOAL_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
