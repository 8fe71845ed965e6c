"""Take requests through the legs as a gateway does: its own policies choose, and say what follows a failure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from runtime.gateway.admission.line import Place
from runtime.gateway.admission.policy import Admission, Refused
from runtime.gateway.routing import endpoint as endpoints
from runtime.gateway.routing import prefix
from runtime.gateway.routing import worker as workers
from runtime.gateway.routing.budget import RetryBudget
from runtime.gateway.routing.disaggregation import Handoff, disaggregate
from runtime.gateway.routing.failure import TRIES, Action, Leg, available, decide
from runtime.handoff.contract import Code, HandoffError
from tandem.simulation.endpoint import Endpoint
from tandem.simulation.job import NEVER, Job
from tandem.simulation.loop import Loop
from tandem.simulation.prefill import PrefillWorker
from tandem.simulation.site import Site
from tandem.sizing.reservation import TEXT_BYTES_PER_TOKEN, answer_limit, estimated_tokens


@dataclass(slots=True)
class Fleet:
    """Hold what every gateway sees alike."""

    workers: Sequence[PrefillWorker]
    endpoints: Sequence[Endpoint]


class Gateway:
    """Hold one gateway's own view: who runs and waits there, and what it gave to whom.

    ``ended`` is told of jobs that are refused or given up.
    """

    def __init__(self, loop: Loop, fleet: Fleet, site: Site, block_tokens: int, ended: Callable[[Job], None]) -> None:
        self._loop, self._fleet, self._ended = loop, fleet, ended
        self._block_tokens, self._lease_seconds, self._context = block_tokens, site.lease_seconds, site.context
        self._admission, self._tenants = Admission(site.admission), site.tenants
        self._limits, self._gateways = site.tenant.among(site.gateways), site.gateways
        self._places: dict[Place, Job] = {}
        room = prefix.CAPACITY * prefix.BLOCK_BYTES // max(1, block_tokens * TEXT_BYTES_PER_TOKEN)
        self._prefixes = prefix.PrefixIndex[PrefillWorker](room) if block_tokens else None
        self._decoded = prefix.PrefixIndex[Endpoint](room)
        self._thresholds = site.thresholds
        self._queued: dict[PrefillWorker, int] = {}
        self.queued_tokens = self._arrived = 0
        self._budget = RetryBudget()
        self._turn = 0

    def arrive(self, job: Job) -> None:
        """Admit a request, let it wait, or refuse it."""
        job.gateway, now = self, self._loop.now
        job.estimate = int(estimated_tokens(job.prompt, answer_limit(job.answer), self._context))
        # requests go to the gateways in turn, so a tenant's must not: it is by each round of them
        tenant = str(job.index // self._gateways % self._tenants)
        place = self._admission.offer(tenant, self._limits, job.prompt + int(answer_limit(job.answer)), now)
        if isinstance(place, Refused):
            job.error = place.reason
            self._ended(job)
            return
        job.place = place
        self._places[place] = job
        if place.running:
            self._run(place)
            return
        self._begin()
        if not place.running:
            self._loop.at(place.deadline, self._waited, place)

    def left(self, job: Job) -> None:
        """Let the next one in for a job that has ended."""
        del self._places[job.place]
        self._admission.leave(job.place)
        self._begin()

    def _begin(self) -> None:
        for place in list(self._admission.begin()):
            self._run(place)

    def _run(self, place: Place) -> None:
        self._budget = self._budget.requested(self._loop.now)
        self._attempt(self._places[place])

    def _waited(self, place: Place) -> None:
        if place.running or place not in self._places:
            return
        job = self._places.pop(place)
        job.error = self._admission.expire(place, self._loop.now).reason
        self._ended(job)

    def _attempt(self, job: Job) -> None:
        self._turn += 1
        candidates = [self._decoder(each, job) for each in self._others(job)]
        if not candidates:
            self._give_up(job, Code.DECODE_UNAVAILABLE)
            return
        job.endpoint = endpoints.choose(candidates, turn=self._turn).choice
        try:
            job.endpoint.reserve(job)
        except HandoffError as error:
            self._failed(job, Leg.RESERVE, error.code)
            return
        handoff = self._handoff(job)
        if job.endpoint.caches:
            self._decoded.record(job.endpoint, job.blocks)
        if handoff is Handoff.KV:
            self._prefill(job)
        else:
            job.worker = None
            job.endpoint.take(job, _nothing)

    def _decoder(self, endpoint: Endpoint, job: Job) -> endpoints.Candidate[Endpoint]:
        cached = min(1.0, self._decoded_tokens(endpoint, job) / job.prompt)
        return endpoints.Candidate(
            peer=endpoint, tier=0, fill=endpoint.fill, in_flight=endpoint.in_flight, cached=cached
        )

    def _decoded_tokens(self, endpoint: Endpoint, job: Job) -> int:
        return self._decoded.overlap(endpoint, job.blocks) * self._block_tokens if endpoint.caches else 0

    def _handoff(self, job: Job) -> Handoff:
        if not self._fleet.workers:
            return Handoff.TEXT
        possible = job.endpoint.handoffs
        if Handoff.TEXT in possible and not any(each.up for each in self._fleet.workers):
            possible -= {Handoff.KV}
        return disaggregate(job.prompt, self._decoded_tokens(job.endpoint, job), self._thresholds, possible).choice

    def _prefill(self, job: Job) -> None:
        candidates = [self._candidate(each, job) for each in self._fleet.workers if each.up]
        if not candidates:
            job.endpoint.withdraw(job)
            self._failed(job, Leg.PREFILL, Code.PREFILL_UNAVAILABLE)
            return
        chosen = workers.choose(candidates, job.prompt, turn=self._turn).choice
        if self._prefixes:
            self._prefixes.record(chosen, job.blocks)
        self._queued[chosen] = self._queued.get(chosen, 0) + job.prompt
        self._arrived += job.estimate
        self.queued_tokens += job.estimate
        job.worker, job.sent = chosen, self._loop.now
        chosen.engine.submit(job)

    def _candidate(self, worker: PrefillWorker, job: Job) -> workers.Candidate[PrefillWorker]:
        known = self._prefixes.overlap(worker, job.blocks) * self._block_tokens if self._prefixes else 0
        return workers.Candidate(peer=worker, queued_tokens=self._queued.get(worker, 0), cached_tokens=known)

    def prefilled(self, job: Job) -> None:
        """Go on to decode with a prompt whose KV a worker has."""
        self._left_prefill(job)
        job.worker.grant(job)
        job.endpoint.take(job, self.landed)

    def take_arrived(self) -> int:
        """Return the estimated prompt tokens that were sent to prefill since the last call."""
        arrived, self._arrived = self._arrived, 0
        return arrived

    def _left_prefill(self, job: Job) -> None:
        self._queued[job.worker] -= job.prompt
        self.queued_tokens -= job.estimate

    def landed(self, job: Job) -> None:
        """Free the worker's KV; raise ``HandoffError`` where the reader cannot know that the lease still held."""
        job.worker.read(job)
        if self._loop.now >= job.sent + self._lease_seconds:
            raise HandoffError(Code.KV_STALE, "the READ ended later than the lease is known to hold: prefill again")

    def refused(self, job: Job) -> None:
        """Go on with a job that its endpoint could not take, for the reason that it left in ``error``."""
        self._abort(job)
        self._failed(job, Leg.DECODE, Code(job.error))

    def broke(self, job: Job, made: int) -> None:
        """Go on with a job whose endpoint went away after ``made`` tokens of its answer."""
        self._abort(job)
        if not made:
            self._failed(job, Leg.DECODE, Code.DECODE_UNAVAILABLE)
            return
        self._failed(job.rest(made), Leg.STREAM, Code.DECODE_FAILED)

    def _abort(self, job: Job) -> None:
        if job.worker:
            job.worker.abort(job)

    def lost(self, job: Job) -> None:
        """Go on with a job whose worker went away before its prompt was done."""
        self._left_prefill(job)
        if self._prefixes:
            self._prefixes.keep([worker for worker in self._fleet.workers if worker.up])
        allowed = {Action.ANOTHER_WORKER} if job.attempt + 1 < TRIES else set()
        if self._after(Leg.PREFILL, Code.PREFILL_FAILED, allowed) is Action.ANOTHER_WORKER:
            self._prefill(job)
        else:
            job.endpoint.withdraw(job)
            self._give_up(job, Code.PREFILL_FAILED)

    def _failed(self, job: Job, leg: Leg, code: Code) -> None:
        job.tried.append(job.endpoint)
        allowed = available(job.attempt + 1, others=bool(self._others(job)), once_more=job.once_more)
        action = self._after(leg, code, allowed)
        if action is Action.GIVE_UP:
            self._give_up(job, code)
            return
        if not self._others(job):
            job.tried.clear()
        job.once_more = job.once_more or action is Action.ONCE_MORE
        self._again(job)

    def _others(self, job: Job) -> list[Endpoint]:
        return [each for each in self._fleet.endpoints if each.up and each not in job.tried]

    def _after(self, leg: Leg, code: Code, allowed: Collection[Action]) -> Action:
        action, self._budget = decide(leg, code, allowed, self._budget, self._loop.now)
        return action

    def _again(self, job: Job) -> None:
        job.attempt += 1
        job.prefilled = job.first = NEVER
        self._attempt(job)

    def _give_up(self, job: Job, code: Code) -> None:
        job.error = code
        self._ended(job)
        self.left(job)


def _nothing(_: Job) -> None:
    """Do nothing for a job that has no KV to land."""
