"""Know the workers of a stage, and lend one to each request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field

import msgspec

from runtime.gateway.peers.breakers import Breakers
from runtime.gateway.routing import affinity, worker
from runtime.gateway.routing.decision import Decision
from runtime.gateway.routing.prefix import PrefixIndex
from runtime.handoff.contract import Code, HandoffError


@dataclass(frozen=True, order=True, slots=True)
class Address:
    """Name a vLLM server by the address and port that it registered."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, order=True, slots=True)
class Worker:
    """Hold a vLLM server as one run of it proved itself: the ``digest`` of its certificate, and the key it asks for."""

    address: Address
    digest: str
    key: str = field(repr=False)
    url: str = field(init=False, repr=False, compare=False)
    """The base URL of its HTTP server."""
    run: str = field(init=False, repr=False, compare=False)
    """A name that another run of it does not share."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", f"https://{self.address}")
        object.__setattr__(self, "run", f"{self.address}/{self.digest[:16]}")

    def __str__(self) -> str:
        return str(self.address)

    @property
    def host(self) -> str:
        """The address without the port."""
        return self.address.host


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """Say of a prompt what the choice of a worker depends on; a block stands for ``block_tokens`` of its tokens."""

    tokens: int
    blocks: Sequence[Hashable] = ()
    block_tokens: int = 1
    session: str | None = None


class Pool:
    """Lend workers of one stage; ``discovered`` returns those known now, ``absent`` is the code where there is none.

    ``renew`` asks one worker anew for its state and certificate, and blocks meanwhile.
    """

    def __init__(
        self,
        discovered: Callable[[], Sequence[Worker]],
        renew: Callable[[Worker], None],
        *,
        stage: str,
        absent: Code,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.discovered = discovered
        self._renew = renew
        self._stage = stage
        self._absent = absent
        self._queued: dict[str, int] = {}
        self._cached: PrefixIndex[str] = PrefixIndex()
        self._breakers = Breakers(clock)
        self._known: tuple[Worker, ...] = ()
        self._turn = 0

    @property
    def lack(self) -> str | None:
        """Why no worker can be lent, or None."""
        return None if self.discovered() else f"no {self._stage} worker is known"

    async def renew(self, worker: Worker) -> None:
        """Ask a worker that did not take a request whether it is another run by now, or none."""
        await asyncio.to_thread(self._renew, worker)

    def usable(self, but: Collection[str] = ()) -> list[Worker]:
        """Return the workers that may be asked now, without the runs in ``but``."""
        known = tuple(self.discovered())
        if known != self._known:
            self._known = known
            runs = {each.run for each in known}
            self._breakers.keep(runs)
            self._cached.keep(runs)
        return [each for each in known if each.run not in but and self._breakers.admits(each.run)]

    def lend(self, prompt: Prompt, *, but: Collection[str] = ()) -> Decision[Worker]:
        """Return the worker for one prompt, to be given back; raise ``HandoffError`` where none may be asked."""
        decision = self._choose(prompt, but)
        chosen = decision.choice
        self._breakers.asked(chosen.run)
        self._cached.record(chosen.run, prompt.blocks)
        self._queued[chosen.run] = self._queued.get(chosen.run, 0) + prompt.tokens
        return decision

    def give_back(self, worker: Worker, prompt: Prompt) -> None:
        """Note that a worker has answered, or will not."""
        if left := self._queued.get(worker.run, 0) - prompt.tokens:
            self._queued[worker.run] = left
        else:
            self._queued.pop(worker.run, None)  # so that departed ones do not pile up

    def succeeded(self, worker: Worker) -> None:
        """Note that a worker did what it was asked."""
        self._breakers.succeeded(worker.run)

    def failed(self, worker: Worker) -> None:
        """Note that a worker failed; what it had cached counts for nothing."""
        self._breakers.failed(worker.run)
        self._cached.keep({each.run for each in self.discovered() if each != worker})

    def _choose(self, prompt: Prompt, but: Collection[str]) -> Decision[Worker]:
        usable = self.usable(but)
        if not usable:
            raise HandoffError(self._absent, self.lack or f"every {self._stage} worker failed lately: try again later")
        self._turn += 1
        candidates = [
            worker.Candidate(
                peer=each,
                queued_tokens=self._queued.get(each.run, 0),
                cached_tokens=self._cached.overlap(each.run, prompt.blocks) * prompt.block_tokens,
            )
            for each in usable
        ]
        return worker.choose(candidates, prompt.tokens, session=_home(prompt.session, usable), turn=self._turn)


def _home(session: str | None, workers: Sequence[Worker]) -> Worker | None:
    if session is None:
        return None
    by_name = {str(each): each for each in workers}
    return by_name[affinity.home(session, by_name)]
