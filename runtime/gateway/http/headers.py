"""Hold the headers of a message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=256)
def _key(name: bytes) -> str:
    return name.decode("latin-1").lower()


class Headers(Mapping[str, str]):
    """Look headers up whatever their case; one that came twice has both values, with a comma between them."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def add(self, name: bytes, value: bytes) -> None:
        """Add what came by the wire."""
        key, text = _key(name), value.decode("latin-1")
        self._values[key] = f"{self._values[key]}, {text}" if key in self._values else text

    def get(self, name: str, default: Any = None, /) -> Any:
        """Return a value, ``default`` where there is none."""
        return self._values.get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
