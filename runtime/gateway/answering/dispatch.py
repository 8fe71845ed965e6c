"""Have requests answered: choose who decodes, and try again as the table of failures says."""

from __future__ import annotations

from runtime.gateway.answering.answer import NOT_ASKED, answered, resumed
from runtime.gateway.answering.fleet import Fleet
from runtime.gateway.continuation.resume import Tokenized
from runtime.gateway.continuation.tokenize import tokenize
from runtime.gateway.continuation.way import Way
from runtime.gateway.peers.upstream import Client, PeerError, Response, UnreachableError
from runtime.gateway.peers.workers import Pool, Prompt
from runtime.gateway.providers.provider import Decoder
from runtime.gateway.providers.retries import Retries, code_of
from runtime.gateway.request.attempt import Attempt
from runtime.gateway.request.chat import Chat
from runtime.gateway.request.prompt import described
from runtime.gateway.routing.disaggregation import Handoff, Thresholds, disaggregate
from runtime.gateway.routing.failure import Action, Leg, available
from runtime.gateway.telemetry.oracle import Oracle, greedy
from runtime.gateway.telemetry.phases import Phases
from runtime.handoff import fields
from runtime.handoff.contract import Code, HandoffError

_NOBODY = "no endpoint here tells its tokens' ids"


class Dispatch:
    """Implement ``Provider`` over every decoder of ``fleet``; without ``prefill`` there is text alone."""

    def __init__(
        self, fleet: Fleet, prefill: Pool | None, client: Client, retries: Retries, thresholds: Thresholds
    ) -> None:
        self.fleet = fleet
        self.prefill = prefill
        self.client = client
        self.retries = retries
        self.thresholds = thresholds
        self._began = False

    @property
    def lack(self) -> str | None:
        """What is missing: at first any stage without a worker, later only what nothing can take the place of."""
        lack = self.prefill.lack if self.prefill else None
        if lack and self._began and self.fleet.usable(_takes_text):
            lack = None
        lack = lack or ("no decode worker is known" if self.fleet.empty else None)
        self._began = self._began or lack is None
        return lack

    async def answer(self, chat: Chat, phases: Phases) -> Response:
        """Return an answer that goes on where one decoder breaks and another can; see ``Provider``."""
        self.retries.requested()
        run = Run(self, chat, phases)
        try:
            if chat.received:
                run.resume()
                return await resumed(run)
            await run.begin(chat)
            return answered(run)
        except BaseException:
            run.close()
            raise


class Run:
    """Hold one request's try of the moment, and what was tried before."""

    def __init__(self, dispatch: Dispatch, chat: Chat, phases: Phases) -> None:
        self.chat = chat
        self.response: Response = NOT_ASKED
        self.decoder: Decoder
        self.followed = False
        """Whether the answer of the moment tells the ids of its tokens."""
        self.oracle: Oracle | None = None
        self._dispatch = dispatch
        self._phases = phases
        self._text_only = self._resuming = self._once_more = False
        self._tried: set[str] = set()
        self._attempt = Attempt(
            request_id=chat.request_id,
            prompt=Prompt(tokens=chat.prompt_tokens),
            number=0,
            handoff=Handoff.TEXT,
            phases=phases,
            deadline=chat.deadline,
        )

    async def begin(self, chat: Chat) -> None:
        """Have ``chat`` answered by whoever can; raise ``HandoffError`` or ``PeerError``."""
        if self._dispatch.prefill:
            self._attempt.prompt = described(chat)
        while True:
            try:
                return await self._enter(chat)
            except (HandoffError, PeerError) as error:
                self._after(error)

    def resume(self) -> None:
        """Prepare to go on with an answer; raise ``HandoffError`` (``invalid_request``) where nobody could exactly."""
        able = self._dispatch.fleet.known(self._followed_by)
        if not able:
            raise self._not_resumable()
        self._resuming, self.decoder = True, able[0]

    def _not_resumable(self) -> HandoffError:
        ways = {each.way for each in self._dispatch.fleet.known(lambda each: each.way is not None)}
        names = sorted({name for way in ways if way for name in way.hindered_by(self.chat)})
        reason = f"not with {', '.join(names)[:200]} as given" if names else _NOBODY
        message = f"{fields.RECEIVED} is given, and this answer cannot be continued exactly: {reason}; ask for it all"
        return HandoffError(Code.INVALID_REQUEST, message)

    def close(self) -> None:
        """Leave the decoder of the moment, which frees what the request holds."""
        if self.response is not NOT_ASKED:
            self.response.leave()
            self.response = NOT_ASKED
            self._dispatch.fleet.left(self.decoder)

    @property
    def way(self) -> Way:
        """How the decoder of the moment has an answer gone on with; only asked where it is followed."""
        if self.decoder.way is None:
            raise AssertionError("an answer is followed that nobody could go on with")
        return self.decoder.way

    def limit(self, room: int) -> int:
        """Return how many tokens the answer may have where the context has ``room`` for so many."""
        return self.decoder.limit(self.chat, room)

    def ended(self) -> None:
        """Note that the decoder of the moment brought the answer to its end."""
        self._dispatch.fleet.succeeded(self.decoder)

    def lost(self) -> None:
        """Note that the decoder of the moment broke off an answer with which nobody can go on."""
        self._dispatch.fleet.failed(self.decoder, Code.DECODE_FAILED)

    def broke(self, error: UnreachableError, leg: Leg) -> None:
        """Note that the answer broke off; raise ``error`` where nothing can be done about it."""
        self._resuming = leg is Leg.STREAM
        if self._phases.ttft_ms is not None:
            self._phases = self._phases.afterwards()
        self._attempt.leg = leg
        code = Code.DECODE_FAILED if self._resuming else Code.DECODE_UNAVAILABLE
        try:
            self._after(HandoffError(code, str(error)))
        except HandoffError:
            raise error from None

    async def tokenize(self) -> Tokenized:
        """Return the prompt's token ids; raise ``UnreachableError`` or ``HandoffError``."""
        pool = self._dispatch.prefill
        if pool is None:
            raise UnreachableError("no worker can tokenize the prompt")
        return await tokenize(pool, self._dispatch.client, self.chat, self._attempt)

    async def _enter(self, chat: Chat) -> None:
        fleet = self._dispatch.fleet
        decision = fleet.choose(self._attempt.prompt, self._fit, self._tried)
        self.decoder = decision.choice
        self._phases.decided("decoder", decision.reason)
        self.followed = self._followed_by(self.decoder)
        self._attempt = Attempt(
            request_id=self.chat.request_id,
            prompt=self._attempt.prompt,
            number=self._attempt.number + 1,
            handoff=self._handoff(chat),
            phases=self._phases,
            deadline=self.chat.deadline,
            followed=self.followed,
            failed_workers=self._attempt.failed_workers,
        )
        fleet.asked(self.decoder)
        try:
            self.response = await self.decoder.run(chat, self._attempt)
        except BaseException:
            fleet.left(self.decoder)
            raise
        fleet.began(self.decoder, self._attempt.prompt)
        # a worker that goes on for another's answer knows nothing of its penalties or grammar
        foretold = self._attempt.foretold if greedy(self.chat.body) and not chat.prefilled else ""
        self.oracle = Oracle(foretold, self._phases.compared) if foretold else None

    def _handoff(self, chat: Chat) -> Handoff:
        pool = self._dispatch.prefill
        possible = frozenset({Handoff.TEXT}) if self._text_only else self.decoder.handoffs
        if pool is None or (pool.lack and Handoff.TEXT in possible):
            possible -= {Handoff.KV}
        cached = self._dispatch.fleet.cached_tokens(self.decoder, self._attempt.prompt)
        decision = disaggregate(chat.prompt_tokens, cached, self._dispatch.thresholds, possible)
        self._phases.decided("handoff", decision.reason)
        return decision.choice

    def _after(self, error: HandoffError | PeerError) -> None:
        """Prepare the next try; raise ``error`` where there is none."""
        if self._attempt.number == 0:
            raise error  # nobody was there to try
        leg = self._attempt.leg
        if leg is not Leg.PREFILL:
            self._dispatch.fleet.failed(self.decoder, code_of(error))
            self._tried.add(self.decoder.name)
        action = self._dispatch.retries.after(leg, error, self._possible(), self._phases)
        if action is Action.GIVE_UP:
            raise error
        if action is Action.TEXT:
            self._text_only = True
            self._tried.clear()
        elif not self._others():
            self._tried.clear()  # a connection may have been cut, a reservation have expired, and the endpoint be well
        self._once_more = self._once_more or action is Action.ONCE_MORE

    def _possible(self) -> set[Action]:
        allowed = available(self._attempt.number, others=self._others(), once_more=self._once_more)
        if allowed and self._attempt.handoff is Handoff.KV and self._dispatch.fleet.usable(_takes_text):
            allowed.add(Action.TEXT)
        return allowed

    def _others(self) -> bool:
        return bool(self._dispatch.fleet.usable(self._fit, self._tried))

    def _fit(self, decoder: Decoder) -> bool:
        able = not self._text_only or _takes_text(decoder)
        return able and (not self._resuming or (decoder.way is self.decoder.way and self._followed_by(decoder)))

    def _followed_by(self, decoder: Decoder) -> bool:
        way, streamed = decoder.way, self.chat.body.get("stream") is True  # without which nothing is followed
        return streamed and way is not None and not way.hindered_by(self.chat)


def _takes_text(decoder: Decoder) -> bool:
    return Handoff.TEXT in decoder.handoffs
