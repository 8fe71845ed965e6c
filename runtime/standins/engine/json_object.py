"""Follow the bytes of a JSON object, and say which may come next (RFC 8259)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

_SPACE: Final = b" \t\n\r"
_DIGITS: Final = b"0123456789"
_HEX: Final = b"0123456789abcdefABCDEF"
_WORDS: Final = {ord("t"): b"rue", ord("f"): b"alse", ord("n"): b"ull"}
_NUMBER: Final[Mapping[str, Mapping[bytes, str]]] = {
    "minus": {b"0": "zero", b"123456789": "whole"},
    "zero": {b".": "point", b"eE": "exponent"},
    "whole": {_DIGITS: "whole", b".": "point", b"eE": "exponent"},
    "point": {_DIGITS: "fraction"},
    "fraction": {_DIGITS: "fraction", b"eE": "exponent"},
    "exponent": {b"+-": "sign", _DIGITS: "power"},
    "sign": {_DIGITS: "power"},
    "power": {_DIGITS: "power"},
}
"""Within a number: which bytes lead where."""
_MAY_END: Final = frozenset({"zero", "whole", "fraction", "power"})


@dataclass(frozen=True, slots=True)
class JsonObject:
    """Hold how far an object came: what ``expects`` names, within what is ``open``, braces and brackets."""

    expects: str = "object"
    open: bytes = b""
    left: bytes = b""
    """The rest of a word; of ``\\u`` as many bytes as are missing."""
    key: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.expects == "nothing"

    def after(self, text: bytes) -> JsonObject | None:
        """Return how far it is after more ``text``; None where no object goes on like that."""
        state: JsonObject | None = self
        for byte in text:
            if state is None:
                return None
            state = state._after(byte)
        return state

    def _after(self, byte: int) -> JsonObject | None:
        if self.expects in _NUMBER:
            return self._in_number(byte)
        if self.expects in ("text", "escape", "hex", "word"):
            return self._inside(byte)
        if byte in _SPACE:
            return self
        return self._between(byte)

    def _between(self, byte: int) -> JsonObject | None:
        match self.expects, chr(byte):
            case "object", "{":
                return self._opened(b"{")
            case "key" | "key or end", '"':
                return replace(self, expects="text", key=True)
            case "colon", ":":
                return replace(self, expects="value", key=False)
            case "more or end", ",":
                return replace(self, expects="key" if self.open.endswith(b"{") else "value")
            case (("more or end" | "key or end"), "}") if self.open.endswith(b"{"):
                return self._closed()
            case (("more or end" | "value or end"), "]") if self.open.endswith(b"["):
                return self._closed()
            case (("value" | "value or end"), _):
                return self._value(byte)
        return None

    def _value(self, byte: int) -> JsonObject | None:
        match chr(byte):
            case "{" | "[":
                return self._opened(bytes([byte]))
            case '"':
                return replace(self, expects="text", key=False)
            case "t" | "f" | "n":
                return replace(self, expects="word", left=_WORDS[byte])
            case "-":
                return replace(self, expects="minus")
        return replace(self, expects="minus")._in_number(byte)

    def _inside(self, byte: int) -> JsonObject | None:
        match self.expects, chr(byte):
            case "text", '"':
                return replace(self, expects="colon" if self.key else "more or end")
            case "text", "\\":
                return replace(self, expects="escape")
            case "text", _:
                return self if byte >= 0x20 else None
            case "escape", "u":
                return replace(self, expects="hex", left=b"0000")
            case "escape", _:
                return replace(self, expects="text") if byte in b'"\\/bfnrt' else None
            case "hex", _:
                left = self.left[1:]
                return replace(self, expects="hex" if left else "text", left=left) if byte in _HEX else None
        left = self.left[1:]
        return replace(self, expects="word" if left else "more or end", left=left) if byte == self.left[0] else None

    def _in_number(self, byte: int) -> JsonObject | None:
        for led, expects in _NUMBER[self.expects].items():
            if byte in led:
                return replace(self, expects=expects)
        return replace(self, expects="more or end")._after(byte) if self.expects in _MAY_END else None

    def _opened(self, kind: bytes) -> JsonObject:
        return replace(self, expects="key or end" if kind == b"{" else "value or end", open=self.open + kind)

    def _closed(self) -> JsonObject:
        rest = self.open[:-1]
        return replace(self, expects="more or end" if rest else "nothing", open=rest)
