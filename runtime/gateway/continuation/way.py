"""The ways to have an answer gone on with, which a decode endpoint is of one or the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from runtime.gateway.continuation import resume
from runtime.gateway.continuation.progress import Progress
from runtime.gateway.continuation.resume import Tokenized
from runtime.gateway.request.chat import Chat


class Way(Protocol):
    """Say what can be gone on with, from where, and by which request."""

    def hindered_by(self, chat: Chat) -> list[str]:
        """Return the fields at whose values an answer could not be continued exactly; none where it can."""

    def progress(self, kept: Iterable[bytes], received: Sequence[int]) -> Progress | None:
        """Return how far a stream came after what was ``received`` before it; None where that cannot be known."""

    def rest(self, chat: Chat, progress: Progress, prompt: Tokenized, limit: int) -> Chat | None:
        """Return the request for what is missing of an answer of at most ``limit`` tokens; None where nothing is."""

    def uncounted(self, progress: Progress) -> int:
        """Return how many of the answer's tokens whoever goes on with it does not count."""


class AsPrompt:
    """Have an answer's tokens taken for the end of a longer prompt, as any vLLM does by ``/v1/completions``."""

    def hindered_by(self, chat: Chat) -> list[str]:
        """Name what means another thing after a longer prompt, or is not known to mean the same."""
        return resume.hindrances(chat, resume.AS_PROMPT)

    def progress(self, kept: Iterable[bytes], received: Sequence[int]) -> Progress | None:
        """Count tokens whose text came."""
        return Progress.read(kept, received)

    def rest(self, chat: Chat, progress: Progress, prompt: Tokenized, limit: int) -> Chat | None:
        """Ask for a completion."""
        return resume.rest(chat, progress, prompt, limit)

    def uncounted(self, progress: Progress) -> int:
        """Return all of them."""
        return len(progress.ids)


class TakenUp:
    """Have the same request answered, with its answer's tokens so far: the decode endpoint contract's own way.

    Whoever decodes goes through those tokens as if they were its own: penalties, seeds, stop strings, probabilities and
    the parsers of reasoning and tools stand where they stood.
    """

    def hindered_by(self, chat: Chat) -> list[str]:
        """Name what might be part of the prompt, which a worker is to tokenize."""
        return resume.hindrances(chat, resume.TAKEN_UP)

    def progress(self, kept: Iterable[bytes], received: Sequence[int]) -> Progress | None:
        """Count every token that was told."""
        return Progress.told(kept, received)

    def rest(self, chat: Chat, progress: Progress, prompt: Tokenized, limit: int) -> Chat | None:
        """Ask for the same, which only the end may be missing of."""
        return resume.again(chat, progress, prompt, limit)

    def uncounted(self, progress: Progress) -> int:
        """Return none."""
        return 0


AS_PROMPT: Final = AsPrompt()
TAKEN_UP: Final = TakenUp()
