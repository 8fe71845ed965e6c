"""Measure what each leg of a running rehearsal takes, by its programs' own metrics, and state it as a site to simulate.

Prefill is measured prompt by prompt: on cores that others use as well, one speed for a whole run would say little.
"""

from __future__ import annotations

import ssl
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from runtime.gateway.admission.limits import Capacity, Limits
from tandem.catalog.models import Heads, models
from tandem.rehearsal.clients.prompts import Answer
from tandem.rehearsal.tasks.service import Service
from tandem.simulation.deployed import UNBOUNDED
from tandem.simulation.site import Pool, Site, Wafers
from tandem.sizing.worker import Worker
from tandem.spec.deployment import Deployment
from tandem.traces.trace import Trace
from tests.patience import HUNG_SECONDS

Sums = dict[str, float]
"""What metrics add up to: a phase's seconds by its name, others by the metric's."""

_POLL_SECONDS: Final = 0.2
_PREFILL: Final = "vllm:request_prefill_time_seconds"
_QUEUE: Final = "vllm:request_queue_time_seconds"
_LEGS: Final = ("gateway", "queue", "reserve", "handshake", "transfer", "verify", "first_token")
_A_SECOND: Final = 1000
"""Tokens of the model below that take a second, in prefill and in decode alike."""
_CLOCK: Final = models()["HuggingFaceTB/SmolLM2-135M-Instruct"].model_copy(
    update={"parameters": 1e12, "layers": 1, "query_heads": 1, "attention": Heads(kv_heads=1, head_dim=1)}
)
"""A model whose tokens all take as long, so that times that were measured are stated as tokens."""


class Run:
    """Hold what a run has taken: ``prefills`` in seconds, in the order in which the worker computed them."""

    def __init__(self, service: Service, deployment: Deployment) -> None:
        assert deployment.prefill
        self._deployment, self._prefill = deployment, deployment.prefill
        self._gateway = f"http://{_address(service, 'gateway')}:{deployment.gateway.metrics_port}/metrics"
        self._worker = f"https://{_address(service, 'prefill')}:{deployment.prefill.api_port}/metrics"
        self.prefills: list[float] = []
        self.spent: Sums = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at the metrics as long as the context lasts."""
        before, over = self._sums(), threading.Event()
        looking = threading.Thread(target=self._look, args=(over,))
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()
        self.spent = {name: value - before.get(name, 0.0) for name, value in self._sums().items()}

    def site(self, answers: Sequence[Answer]) -> Site:
        """Return the deployment as it was: the stand-in's engine runs one prompt at a time."""
        group, taken = self._prefill.groups[0], self._deployment.gateway.admission
        worker = Worker(flops=2 * _CLOCK.active * _A_SECOND, read=UNBOUNDED, step=0.0, kv_bytes=UNBOUNDED)
        return Site(
            model=_CLOCK,
            context=10**9,
            prefill=(Pool(name=group.name, count=group.count, worker=worker, egress=UNBOUNDED),),
            decode=Wafers(
                endpoints=1,
                kv_bytes=UNBOUNDED,
                ingress=UNBOUNDED,
                tokens_per_second=_A_SECOND,
                ttl_seconds=self._prefill.kv_lease_seconds,
            ),
            max_num_seqs=1,
            decode_max_num_seqs=1,
            max_num_batched_tokens=10**9,
            lease_seconds=self._prefill.kv_lease_seconds,
            gateways=self._deployment.gateway.min_count,
            admission=Capacity(running=taken.running, waiting=taken.waiting, wait_seconds=taken.wait_seconds),
            tenant=Limits(**taken.tenant.model_dump()),
            call_seconds=sum(self.spent[leg] for leg in _LEGS) / len(answers) / 3,
        )

    def trace(self, trace: Trace, answers: Sequence[Answer]) -> Trace:
        """Return ``trace`` with what each request took of the worker and of the decode endpoint, as tokens."""
        # the worker also samples a token and is called: the gateway's phase less the worker's queue and computation
        beside = (self.spent["prefill"] - self.spent[_QUEUE] - self.spent[_PREFILL]) / len(answers)
        prefills = np.array(self.prefills) + beside
        decodes = np.array([answer.total_ms - answer.ttft_ms for answer in answers]) / 1e3
        return Trace(
            seconds=trace.seconds,
            prompt_tokens=np.maximum(1, np.rint(prefills * _A_SECOND)).astype(np.int64),
            answer_tokens=np.maximum(2, np.rint(decodes * _A_SECOND)).astype(np.int64),
            blocks=trace.blocks,
            ends=trace.ends,
        )

    def _look(self, over: threading.Event) -> None:
        last = _scraped(self._worker)
        while True:
            ended = over.wait(_POLL_SECONDS)
            now = _scraped(self._worker)
            count = int(now[f"{_PREFILL}_count"] - last[f"{_PREFILL}_count"])
            # several that ended between two looks share what they took
            self.prefills += count * [(now[_PREFILL] - last[_PREFILL]) / max(1, count)]
            last = now
            if ended:
                return

    def _sums(self) -> Sums:
        return _scraped(self._gateway) | _scraped(self._worker)


def _address(service: Service, name: str) -> str:
    found: str = next(entry["address"] for entry in service.entries if name in entry["name"])
    return found


def _scraped(url: str) -> Sums:
    context = ssl._create_unverified_context()  # noqa: S323 - an address, not its name
    trusting = context if url.startswith("https") else None
    with urllib.request.urlopen(url, context=trusting, timeout=HUNG_SECONDS) as answer:  # noqa: S310 - of our own making
        text = answer.read().decode()
    found: Sums = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.endswith("_sum"):
                found[sample.labels.get("phase", family.name)] += sample.value
            if sample.name.endswith("_count"):
                found[f"{family.name}_count"] += sample.value
    return found
