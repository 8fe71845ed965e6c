"""Take the headers of a message from the wire: by name, in lower case, as HTTP/2 writes them."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=256)
def _key(name: bytes) -> str:
    return name.decode("latin-1").lower()


def add(headers: dict[str, str], name: bytes, value: bytes) -> None:
    """Add what came; a header that came twice has both values, with a comma between them."""
    key, text = _key(name), value.decode("latin-1")
    headers[key] = f"{headers[key]}, {text}" if key in headers else text
