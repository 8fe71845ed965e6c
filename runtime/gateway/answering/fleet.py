"""Know where answers can be decoded, and choose for each request."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from runtime.gateway.peers.breakers import Breakers
from runtime.gateway.peers.workers import Prompt
from runtime.gateway.providers.provider import Decoder
from runtime.gateway.routing import endpoint
from runtime.gateway.routing.decision import Decision
from runtime.gateway.routing.prefix import PrefixIndex
from runtime.handoff.contract import Code, HandoffError

_FULL_SECONDS: Final = 2.0
"""How long a decoder that refused for want of memory counts as full, whatever it told before."""
_BROKEN: Final = frozenset({Code.DECODE_UNAVAILABLE, Code.DECODE_FAILED})


class Fleet:
    """Follow the decoders that ``known`` returns at each moment; ``clock`` returns monotonic seconds."""

    def __init__(self, known: Callable[[], Sequence[Decoder]], clock: Callable[[], float] = time.monotonic) -> None:
        self._known = known
        self._clock = clock
        self._breakers = Breakers(clock)
        self._in_flight: dict[str, int] = {}
        self._fill: dict[str, float] = {}
        self._full_until: dict[str, float] = {}
        self._cached: PrefixIndex[str] = PrefixIndex()
        self._kept: tuple[Decoder, ...] = ()
        self._first_tier = 0
        self._turn = 0

    def known(self, fit: Callable[[Decoder], bool]) -> list[Decoder]:
        """Return who is ``fit``, whether it may be asked now or not."""
        return [each for each in self._known() if fit(each)]

    @property
    def empty(self) -> bool:
        """Whether nobody is known who could decode."""
        return not self._known()

    def usable(self, fit: Callable[[Decoder], bool] = lambda _: True, but: Collection[str] = ()) -> list[Decoder]:
        """Return who may be asked now and is ``fit``, without the names in ``but``."""
        known = tuple(self._known())
        if known != self._kept:
            self._kept = known
            self._first_tier = min([each.tier for each in known], default=0)
            names = {each.name for each in known}
            self._breakers.keep(names)
            self._cached.keep(names)
        return [each for each in known if each.name not in but and self._breakers.admits(each.name) and fit(each)]

    def choose(self, prompt: Prompt, fit: Callable[[Decoder], bool], but: Collection[str]) -> Decision[Decoder]:
        """Return who is to decode a request; raise ``HandoffError`` (``decode_unavailable``) where nobody may."""
        usable = self.usable(fit, but)
        if not usable:
            said = "no decode worker is known" if self.empty else "every decode endpoint failed lately"
            raise HandoffError(Code.DECODE_UNAVAILABLE, f"{said}: try again later")
        self._turn += 1
        candidates = [self._candidate(each, prompt) for each in usable]
        return endpoint.choose(candidates, turn=self._turn, first_tier=self._first_tier)

    def asked(self, decoder: Decoder) -> None:
        """Note that a decoder is given a request, until it is ``left``."""
        name = decoder.name
        self._breakers.asked(name)
        self._in_flight[name] = self._in_flight.get(name, 0) + 1

    def left(self, decoder: Decoder) -> None:
        """Note that a decoder has one request less."""
        name = decoder.name
        left = self._in_flight[name] - 1
        if left:
            self._in_flight[name] = left
        else:
            del self._in_flight[name]  # so that departed ones do not pile up

    def filled(self, name: str, share: float) -> None:
        """Note which share of its memory a decoder has reserved, 0 to 1."""
        self._fill[name] = share

    def began(self, decoder: Decoder, prompt: Prompt) -> None:
        """Note that a decoder began to answer."""
        name = decoder.name
        self._breakers.answered(name)
        self._full_until.pop(name, None)
        if decoder.caches:
            self._cached.record(name, prompt.blocks)

    def succeeded(self, decoder: Decoder) -> None:
        """Note that a decoder brought an answer to its end."""
        self._breakers.succeeded(decoder.name)

    def cached_tokens(self, decoder: Decoder, prompt: Prompt) -> int:
        """Return how many of a prompt's tokens are likely to be in a decoder's prefix cache."""
        return self._cached.overlap(decoder.name, prompt.blocks) * prompt.block_tokens

    def failed(self, decoder: Decoder, code: Code) -> None:
        """Note why a decoder did not answer, or no further."""
        if code in _BROKEN:
            self._breakers.failed(decoder.name)
        else:
            self._breakers.answered(decoder.name)  # who refuses is there
        if code is Code.CAPACITY:
            self._full_until[decoder.name] = self._clock() + _FULL_SECONDS

    def _candidate(self, decoder: Decoder, prompt: Prompt) -> endpoint.Candidate[Decoder]:
        name = decoder.name
        refused = name in self._full_until and self._clock() < self._full_until[name]
        return endpoint.Candidate(
            peer=decoder,
            tier=decoder.tier,
            fill=1.0 if refused else self._fill.get(name, 0.0),
            in_flight=self._in_flight.get(name, 0),
            cached=min(1.0, self.cached_tokens(decoder, prompt) / max(1, prompt.tokens)),
        )
