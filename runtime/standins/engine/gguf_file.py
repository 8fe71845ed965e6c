"""Read a GGUF file: its metadata at once, its tensors when asked.

The ``gguf`` package dequantises; its own reader is not used because it needs 1 to 2 s for the 98,052 strings of the
small model's tokenizer, against 0.1 s here. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

import gguf
import numpy as np
from gguf.quants import dequantize
from numpy.typing import NDArray

_SCALARS = dict(enumerate("BbHhIif?"))  # GGUF type number -> struct format; 8 is a string, 9 an array
_SCALARS |= {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = 32  # the format's default; no file we read overrides it


@dataclass(frozen=True, slots=True)
class Rows:
    """Hold the still quantised rows of a matrix, uint8 ``[rows, bytes of a row]``.

    Rows can be reordered and stacked without being dequantised, since no block of values spans two rows.
    """

    data: NDArray[np.uint8]
    kind: gguf.GGMLQuantizationType

    def reordered(self, order: NDArray[np.intp]) -> Rows:
        """Return the rows in ``order``."""
        return Rows(self.data[order], self.kind)

    def floats(self) -> NDArray[np.float32]:
        """Return the values as a new f32 ``[rows, columns]`` array."""
        return np.array(dequantize(self.data, self.kind), np.float32, order="C", copy=self.data.base is not None)


def stack(parts: Sequence[Rows]) -> Rows:
    """Return the matrix of all rows of ``parts``, which must be quantised alike."""
    (kind,) = {part.kind for part in parts}
    return Rows(np.concatenate([part.data for part in parts]), kind)


class GgufFile:
    """Map a GGUF file; ``metadata`` holds its key-value pairs as Python values."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        cursor = _Cursor(self._map)
        magic, version, tensors, pairs = cursor.take("4sIQQ")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(f"{path} is not a GGUF file of version 2 or 3: it begins with {magic!r}, {version}")
        self.metadata: dict[str, Any] = {cursor.string(): cursor.value(cursor.number("I")) for _ in range(pairs)}
        self._tensors = dict(_TensorInfo.read(cursor) for _ in range(tensors))
        self._data = -(-cursor.position // _ALIGNMENT) * _ALIGNMENT

    def rows(self, name: str) -> Rows:
        """Return the rows of a tensor (a vector is one row); raise ``KeyError`` if the file has none of that name."""
        info = self._tensors[name]
        shape = info.byte_shape()
        data = np.frombuffer(self._map, np.uint8, math.prod(shape), self._data + info.offset)
        return Rows(data.reshape(shape), info.kind)


@dataclass(frozen=True, slots=True)
class _TensorInfo:
    shape: tuple[int, ...]  # fastest-running dimension first
    kind: gguf.GGMLQuantizationType
    offset: int

    @classmethod
    def read(cls, cursor: _Cursor) -> tuple[str, Self]:
        name = cursor.string()
        shape = cursor.take(f"{cursor.number('I')}Q")
        kind, offset = cursor.take("IQ")
        return name, cls(shape, gguf.GGMLQuantizationType(kind), offset)

    def byte_shape(self) -> tuple[int, int]:
        values, size = gguf.GGML_QUANT_SIZES[self.kind]
        return math.prod(self.shape[1:]), self.shape[0] // values * size


class _Cursor:
    def __init__(self, buffer: mmap.mmap) -> None:
        self._buffer = buffer
        self.position = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        fields = struct.Struct("<" + layout)
        values = fields.unpack_from(self._buffer, self.position)
        self.position += fields.size
        return values

    def number(self, layout: str) -> int:
        return cast(int, self.take(layout)[0])

    def string(self) -> str:
        start = self.position + 8
        self.position = start + int.from_bytes(self._buffer[self.position : start], "little")
        return self._buffer[start : self.position].decode()

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.take(_SCALARS[kind])[0]
        kind, length = self.take("IQ")
        if kind in _SCALARS:
            return list(self.take(f"{length}{_SCALARS[kind]}"))
        return [self.value(kind) for _ in range(length)]
