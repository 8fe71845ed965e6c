"""The gateway, its clients, and whoever misuses what they overhear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from runtime.handoff import fields, ticket
from runtime.handoff.ticket import Ticket
from tests.runtime.handoff.simulation.reader import KEY, MODEL, TTL, Answer, Failure, Reader
from tests.runtime.handoff.simulation.worker import LEASE, Worker, kv_of
from tests.runtime.handoff.simulation.world import Call, Fault, Process, World

PREFILL_SECONDS = 60.0


@dataclass(eq=False)
class Request:
    """Follow one client's request; ``outcome`` is what it was told."""

    name: str
    blocks: int
    started: float
    outcome: Answer | Failure | str | None = None
    ended: float = 0.0
    reservation: str | None = None
    params: dict[str, Any] | None = None
    call: Call | None = None
    left: bool = False
    mistreated: bool = False
    """Whether what was sent must not be answered."""


class Gateway(Process):
    """Reserve, prefill, sign, decode; free what a request holds, whenever it ends."""

    def __init__(self, world: World, worker: Worker, reader: Reader) -> None:
        self.worker, self.reader = worker, reader
        self.requests: list[Request] = []
        super().__init__(world, "gateway")

    def crash(self) -> None:
        """Die; clients see their connections break."""
        if self.up:
            super().crash()
            for request in self.requests:
                self._end(request, "gateway died")

    def ask(self, request: Request) -> None:
        """Take a client's request."""
        self.requests.append(request)
        if not self.up or not self.reader.up:
            self._end(request, "unreachable")
            return
        for _ in range(2 if self.world.happens(Fault.RESERVED_TWICE) else 1):
            request.call = Call(
                self,
                self.reader,
                on_reply=partial(self._reserved, request),
                on_broken=partial(self._end, request, "unreachable"),
            )
            self._deliver(self.reader, partial(self.reader.reserve, request.call, request.name, request.blocks))

    def leave(self, request: Request) -> None:
        """Let the client leave, wherever its request is."""
        request.left = True
        if request.outcome is None and self.up:
            if request.params and request.call:
                request.call.cut()
            self._end(request, "client left")

    def _reserved(self, request: Request, answer: Any) -> None:
        if request.reservation is not None:
            return  # the same one again
        if isinstance(answer, Failure):
            self._end(request, answer)
            return
        request.reservation = answer
        if request.left or not self.worker.up:
            self._withdraw(request)
            self._end(request, "unreachable")
            return
        received = self.clock()
        request.call = Call(
            self,
            self.worker,
            on_reply=partial(self._prefilled, request, int((self.clock() - received) * 1000)),
            on_broken=partial(self._lost, request),
        )
        stream = answer if self.world.streams else None
        names = (request.name, f"{request.name}-prefill")
        prefill = partial(self.worker.prefill, request.call, *names, request.blocks, stream=stream)
        self._deliver(self.worker, prefill)

    def _lost(self, request: Request) -> None:
        self._withdraw(request)
        self._end(request, "prefill failed")

    def _prefilled(self, request: Request, gap_ms: int, params: Any) -> None:
        if params is None or request.left or not self.reader.up:
            self._lost(request)
            if params and self.reader.up:
                self._deliver(self.reader, partial(self.reader.abort, self._signed(request, params, gap_ms)))
            return
        delay = self._lateness() if self.world.happens(Fault.LATE_DECODE) else 0.0
        self.world.after(delay, self, partial(self._decode, request, self._signed(request, params, gap_ms)))

    def _decode(self, request: Request, params: dict[str, Any]) -> None:
        if request.left or not self.reader.up:
            self._end(request, "unreachable")
            if self.reader.up:
                self._deliver(self.reader, partial(self.reader.abort, params))
            return
        request.params = params
        call = Call(
            self,
            self.reader,
            on_reply=partial(self._end, request),
            on_broken=partial(self._end, request, "decode failed"),
        )
        request.call = call
        self._deliver(self.reader, partial(self.reader.decode, call, self._mistreated(request, params)))
        self._overhear(params)

    def _signed(self, request: Request, params: dict[str, Any], gap_ms: int) -> dict[str, Any]:
        expired = self.world.happens(Fault.EXPIRED_TICKET)
        request.mistreated |= expired
        claims = Ticket.for_params(
            params,
            tenant="tenant",
            request_id=request.name,
            attempt=1,
            model=MODEL,
            reservation_id=str(request.reservation),
            lease_ms=int(LEASE * 1000),
            prefill_gap_ms=gap_ms,
            expires_at=self.world.now + (-31 if expired else LEASE + 30),
        )
        return params | {fields.TANDEM: {fields.SEAL: ticket.seal_of(params), fields.TICKET: ticket.sign(claims, KEY)}}

    def _lateness(self) -> float:
        """Return a delay of any length, or one after which a READ, or its handshake already, outlasts the lease."""
        since, until = self.world.random.choice([(0.0, TTL), (TTL - 9, TTL - 4), (TTL - 0.05, TTL)])
        return self.world.random.uniform(since, until)

    def _mistreated(self, request: Request, params: dict[str, Any]) -> dict[str, Any]:
        if self.world.happens(Fault.TAMPERED_BLOCKS):
            request.mistreated = True
            (blocks,) = params[fields.REMOTE_BLOCK_IDS]
            return params | {fields.REMOTE_BLOCK_IDS: [[block % 8 + 1 for block in blocks]]}
        if self.world.happens(Fault.FORGED_TICKET):
            request.mistreated = True
            return params | {fields.TANDEM: self._forged(params)}
        return params

    def _forged(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return what somebody without the key would send: the same claims for a later time."""
        ours = params[fields.TANDEM]
        claims = replace(ticket.verify(ours[fields.TICKET], [KEY], now=-1e9), expires_at=1e12)
        token = ticket.sign(claims, b"another key").replace(ticket.key_id(b"another key"), ticket.key_id(KEY))
        return {**ours, fields.TICKET: token}

    def _overhear(self, params: dict[str, Any]) -> None:
        """Let somebody send the same again, whenever."""
        if self.world.happens(Fault.REPLAYED_TICKET):
            thief = Process(self.world, "thief")

            def replay() -> None:
                if self.reader.up:
                    call = Call(thief, self.reader, on_reply=self._replayed, on_broken=lambda: None)
                    self._deliver(self.reader, partial(self.reader.decode, call, params))

            self.world.after(self.world.random.choice([0.004, 0.5, 35.0]), None, replay)

    def _replayed(self, answer: Any) -> None:
        owners = [request for request in self.requests if isinstance(request.outcome, Answer)]
        if isinstance(answer, Answer) and any(_same(answer, request) for request in owners):
            self.world.violated("one ticket was answered twice")

    def _withdraw(self, request: Request) -> None:
        if self.reader.up and request.reservation:
            self._deliver(self.reader, partial(self.reader.withdraw, request.reservation))

    def _deliver(self, to: Process, step: Any) -> None:
        self.world.after(self.world.latency(), to, step)

    def _end(self, request: Request, outcome: Any) -> None:
        if request.outcome is not None:
            return
        request.outcome, request.ended = outcome, self.world.now
        if isinstance(outcome, Answer) and not _same(outcome, request):
            self.world.violated(f"{request.name} was answered from other KV than its own")
        if isinstance(outcome, Answer) and request.mistreated:
            self.world.violated(f"{request.name} was answered in spite of its ticket")


def _same(answer: Answer, request: Request) -> bool:
    return answer.kv.tobytes() == kv_of(request.name, request.blocks).tobytes()
