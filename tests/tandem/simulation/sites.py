"""Small sites whose queues have closed forms, and the example's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.gateway.admission.limits import Capacity, Limits
from tandem.catalog.machines import machines
from tandem.catalog.models import models
from tandem.simulation.site import Pool, Site, Wafers
from tandem.sizing.worker import Worker
from tandem.traces.trace import Trace

LLAMA: Final = models()["meta-llama/Llama-3.3-70B-Instruct"]
HOST: Final = Worker.on(LLAMA, machines().accelerators["trainium2"], 16, machines())
_ENDLESS: Final = 1e18

WAFERS: Final = Wafers(
    endpoints=1, kv_bytes=6 * 44e9 - LLAMA.weight_bytes, ingress=720e9, tokens_per_second=2100, ttl_seconds=30
)
SITE: Final = Site(
    model=LLAMA,
    context=131_072,
    prefill=(Pool(name="trn2", count=4, worker=HOST, egress=200e9),),
    decode=WAFERS,
    max_num_seqs=16,
    decode_max_num_seqs=16,
    max_num_batched_tokens=8192,
    lease_seconds=30.0,
    gateways=1,
    admission=Capacity(running=10**9, waiting=10**9, wait_seconds=1e9),
    tenant=Limits(),
    call_seconds=0.0,
)
"""Four hosts before six CS-3."""


def unbounded(**changes: Any) -> Site:
    """Return a site where nothing is short but what ``changes`` says: one prefill worker, decode without end."""
    endless = replace(WAFERS, kv_bytes=_ENDLESS, ingress=_ENDLESS, ttl_seconds=_ENDLESS)
    worker = replace(HOST, kv_bytes=_ENDLESS)
    one = Pool(name="trn2", count=1, worker=worker, egress=_ENDLESS)
    return replace(SITE, prefill=(one,), decode=endless, lease_seconds=_ENDLESS, **changes)


def trace(
    seconds: NDArray[np.float64],
    prompts: NDArray[np.int64],
    answers: NDArray[np.int64],
    blocks: list[list[int]] | None = None,
) -> Trace:
    """Return a trace of these columns."""
    flat = [block for row in blocks or [] for block in row]
    lengths = [len(row) for row in blocks] if blocks else [0] * len(seconds)
    return Trace(
        seconds=seconds,
        prompt_tokens=prompts,
        answer_tokens=answers,
        blocks=np.array(flat, dtype=np.int64),
        ends=np.cumsum(lengths),
        block_tokens=512 if blocks else 0,
    )
