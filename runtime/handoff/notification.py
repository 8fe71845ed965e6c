"""Read and write what decoders send to a prefill worker by NIXL, in vLLM's words."""

from __future__ import annotations

from dataclasses import dataclass

_HEARTBEAT = "HB:"


@dataclass(frozen=True, slots=True)
class ReadDone:
    """Tell that one of ``readers`` has read the blocks of a request, or wants them no more."""

    request_id: str
    readers: int

    def message(self) -> bytes:
        """Return its wire form."""
        return f"{self.request_id}:{self.readers}".encode()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Tell that a decoder still means to read the blocks of these requests."""

    request_ids: tuple[str, ...]

    def message(self) -> bytes:
        """Return its wire form."""
        return (_HEARTBEAT + ",".join(self.request_ids)).encode()


def parse(message: bytes) -> ReadDone | Heartbeat:
    """Return what a notification says; raise ``ValueError`` if it is none of vLLM's."""
    text = message.decode()
    if text.startswith(_HEARTBEAT):
        return Heartbeat(tuple(text.removeprefix(_HEARTBEAT).split(",")))
    request_id, _, readers = text.rpartition(":")
    if not request_id or not readers.isdecimal() or int(readers) == 0:
        raise ValueError(f"notification is {text[:100]!r}, it must be '<request id>:<readers>' or 'HB:<id>,<id>…'")
    return ReadDone(request_id, int(readers))
