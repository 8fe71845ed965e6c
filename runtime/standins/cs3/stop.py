"""Cut an answer where one of the caller's ``stop`` strings begins."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Pass text on as it comes, but hold back what may be the beginning of a stop string.

    What ``push`` and ``flush`` return adds up to the text before the stop string that was complete first, however the
    text is cut into pieces. ``found`` tells that one came.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.found = False
        self._stops = stops
        self._held = ""

    def push(self, text: str) -> str:
        """Return the text that is now known to stand before every stop string."""
        self._held += text
        spans = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        self.found = bool(spans)
        return self._release(min(spans)[1] if spans else len(self._held) - self._doubtful())

    def flush(self) -> str:
        """Return at the end of the answer what turned out not to be a stop string."""
        return "" if self.found else self._release(len(self._held))

    def _doubtful(self) -> int:
        """Return the length of the longest tail that begins a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        lengths = range(min(longest, len(self._held)), 0, -1)
        return next((n for n in lengths if any(stop.startswith(self._held[-n:]) for stop in self._stops)), 0)

    def _release(self, length: int) -> str:
        text, self._held = self._held[:length], self._held[length:]
        return text
