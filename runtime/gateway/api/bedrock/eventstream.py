"""Encode AWS event-stream messages (``application/vnd.amazon.eventstream``); botocore only decodes them.

A message is a prelude (its length, its headers' length, their CRC-32), headers, payload and the CRC-32 of it all, with
big-endian numbers. A header is a name, a type (7: text) and a value (Smithy specification, "event stream encoding").
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, Final
from zlib import crc32

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
_PRELUDE: Final = struct.Struct(">II")
_SUM: Final = struct.Struct(">I")
_TEXT: Final = 7


def event(kind: str, body: Mapping[str, Any]) -> bytes:
    """Return an event of a JSON payload."""
    return _message({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, body)


def exception(kind: str, text: str) -> bytes:
    """Return the exception that ends a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return _message(headers, {"message": text})


def _message(headers: Mapping[str, str], body: Mapping[str, Any]) -> bytes:
    head = b"".join(_header(name, value) for name, value in headers.items())
    payload = json.dumps(body, separators=(",", ":")).encode()
    prelude = _PRELUDE.pack(len(head) + len(payload) + 16, len(head))
    whole = prelude + _SUM.pack(crc32(prelude)) + head + payload
    return whole + _SUM.pack(crc32(whole))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _TEXT, len(text)) + text
