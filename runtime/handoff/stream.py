"""Let KV follow its computation, layer by layer: what both sides of a stream keep, without I/O or clock.

    worker    wrote a layer of some tokens ──► tells its front, while it has credit
    endpoint  reads what it lacks of the front ──► gives the credit back

A *front* says of each layer how many leading tokens' KV lies in the worker's blocks. Fronts only grow, and every offer
holds all of them, so offers that are lost, doubled or overtaken do no harm: the larger number counts, layer by layer.
Neither side keeps what the other is too slow for: a worker has at most ``CREDITS`` offers unanswered and merges what it
writes meanwhile, an endpoint has one READ of bounded size under way.

What was streamed proves nothing: the seal, the ticket and the lease that come with the decode request decide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self

CREDITS: Final = 2
"""Offers of one stream that may be unanswered: one is being read, the next lies ready."""
MESSAGE_BYTES: Final = 60 * 1024
"""The longest offer; a prompt with more blocks is not streamed."""

Front = tuple[int, ...]

_OFFER: Final = b"TANDEM-OFFER:"
_CREDIT: Final = b"TANDEM-CREDIT:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """Say where a prompt's KV will lie, and how far it has come; ``number`` counts the offers of one stream.

    ``digest_tokens`` is how many tokens the worker digests together: so the endpoint need not wait for the seal to
    begin with its own.
    """

    stream: str
    host: str
    port: int
    engine_id: str
    generation: str
    request_id: str
    blocks: tuple[int, ...]
    tokens: int
    digest_tokens: int
    front: Front = ()
    number: int = 0

    def message(self) -> bytes:
        """Return its wire form."""
        return _OFFER + json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def parse(cls, message: bytes) -> Self | None:
        """Read one; None where the message is none, ``ValueError`` where it is unusable."""
        if not message.startswith(_OFFER):
            return None
        try:
            given = json.loads(message.removeprefix(_OFFER))
            offer = cls(**given | {name: tuple(given[name]) for name in ("blocks", "front")})
        except (TypeError, LookupError, RecursionError) as error:
            raise ValueError(f"offer is unusable: {error}") from error
        offer._check()
        return offer

    def _check(self) -> None:
        texts = (self.stream, self.host, self.engine_id, self.generation, self.request_id)
        numbers = (self.port, self.tokens, self.digest_tokens, self.number, *self.blocks, *self.front)
        if not all(isinstance(text, str) and text for text in texts):
            raise ValueError("offer lacks a name")
        if not all(type(number) is int and number >= 0 for number in numbers) or not self.digest_tokens:
            raise ValueError("offer has a number that is none")
        falls = all(after <= before for before, after in zip(self.front, self.front[1:], strict=False))
        if not self.front or not falls or self.front[0] > self.tokens:
            raise ValueError(f"offer's front must fall from at most {self.tokens} tokens, layer by layer")


@dataclass(frozen=True, slots=True)
class Credit:
    """Tell a worker that all its offers up to ``number`` are answered."""

    stream: str
    number: int

    def message(self) -> bytes:
        """Return its wire form."""
        return _CREDIT + json.dumps([self.stream, self.number]).encode()

    @classmethod
    def parse(cls, message: bytes) -> Self | None:
        """Read one; None where the message is none, ``ValueError`` where it is unusable."""
        if not message.startswith(_CREDIT):
            return None
        try:
            given = json.loads(message.removeprefix(_CREDIT))
        except RecursionError as error:
            raise ValueError("credit is nested too deeply") from error
        match given:
            case [str(stream), int(number)]:
                return cls(stream, number)
        raise ValueError("credit is unusable")


class Telling:
    """Decide when a worker tells how far it has come. ``wrote`` may be called in other threads than the rest."""

    def __init__(self, offer: Offer, layers: int) -> None:
        self.offer = offer
        self._front = [0] * layers
        self._told: Front = ()
        self._sent = self._credited = 0

    def wrote(self, layer: int, tokens: int) -> None:
        """Note that the KV of all tokens before ``tokens`` lies in this layer's blocks, and in those before it."""
        self._front[layer] = tokens

    def due(self) -> Offer | None:
        """Return what to tell now, which takes a credit; None where there is nothing new, or no credit."""
        front = _falling(self._front)
        if self._sent - self._credited >= CREDITS or front == self._told or not front[0]:
            return None
        self._told, self._sent = front, self._sent + 1
        return replace(self.offer, front=front, number=self._sent)

    def credited(self, number: int) -> None:
        """Take credit back, up to an offer."""
        self._credited = max(self._credited, min(number, self._sent))


class Following:
    """Decide what an endpoint reads next: at most ``limit`` tokens of a layer at a time, each counted once."""

    def __init__(self, layers: int, tokens: int, limit: int) -> None:
        self._whole = (tokens,) * layers
        self._limit = limit
        self._told: Front = (0,) * layers
        self._reading: Front | None = None
        self._number = self._answered = 0
        self.front: Front = (0,) * layers
        """What has been read."""

    @property
    def whole(self) -> bool:
        """Whether everything has been read."""
        return self.front == self._whole

    def told(self, offer: Offer) -> None:
        """Take note of an offer; raise ``ValueError`` where it is of another model or prompt."""
        if len(offer.front) != len(self._whole) or offer.tokens != self._whole[0]:
            raise ValueError(f"offer is of {len(offer.front)} layers and {offer.tokens} tokens, not of {self._whole}")
        self._told = tuple(map(max, self._told, offer.front))
        self._number = max(self._number, offer.number)

    def complete(self) -> None:
        """Take note that the prefill has ended: all KV lies in the blocks."""
        self._told = self._whole

    def next(self) -> Front | None:
        """Return up to where to read now; None while a READ is under way, and where there is nothing to read."""
        if self._reading is not None or self.front == self._told:
            return None
        self._reading = self._within_limit()
        return self._reading

    def read(self) -> int:
        """Note that the READ has ended; return up to which offer everything has been read."""
        if self._reading is None:
            raise RuntimeError("no READ is under way")
        self.front, self._reading = self._reading, None
        if self.front == self._told:
            self._answered = self._number
        return self._answered

    def _within_limit(self) -> Front:
        room, target = self._limit, list(self.front)
        for layer, (have, told) in enumerate(zip(self.front, self._told, strict=True)):
            target[layer] += min(room, told - have)
            room -= target[layer] - have
        return _falling(target)


def invitation(params: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return stream and encoded agent of a prefill request's ``tandem.stream``; None where it asks for no stream."""
    match params:
        case {"tandem": {"stream": {"id": str(stream), "agent": str(agent)}}} if stream and agent:
            return stream, agent
    return None


def _falling(front: Sequence[int]) -> Front:
    """Return a front in which no layer is ahead of one before it, as a writer between two updates may show it."""
    lowest, falling = front[0], []
    for tokens in front:
        lowest = min(lowest, tokens)
        falling.append(lowest)
    return tuple(falling)
