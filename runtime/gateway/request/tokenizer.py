"""Count tokens by the model's own ``tokenizer.json``: the one seam to Hugging Face's library."""

from __future__ import annotations

import hashlib
from typing import Any, Self

import msgspec
from tokenizers import Tokenizer as Pairs


class TokenizerError(ValueError):
    """Say why a file is no tokenizer."""


class _Described(msgspec.Struct):
    """Read of a file what comes before its vocabulary is used."""

    normalizer: Any = None
    pre_tokenizer: Any = None

    @property
    def byte_level(self) -> bool:
        return self.normalizer is None and b'"ByteLevel"' in msgspec.json.encode(self.pre_tokenizer)


class Tokenizer:
    """Count what a text takes; ``digest`` is the SHA-256 of the file that it was read from.

    ``byte_level`` tells that no text takes more tokens than it has bytes: the vocabulary is of bytes, each of which
    begins as a token of its own, and nothing rewrites the text before.
    """

    def __init__(self, pairs: Pairs, digest: str, *, byte_level: bool) -> None:
        self._pairs = pairs
        self.digest = digest
        self.byte_level = byte_level

    @classmethod
    def read(cls, file: bytes) -> Self:
        """Return the tokenizer of a ``tokenizer.json``; raise ``TokenizerError``."""
        try:
            pairs, described = Pairs.from_str(file.decode()), msgspec.json.decode(file, type=_Described)
        except Exception as error:  # the library raises nothing more exact
            raise TokenizerError(f"it is no tokenizer.json: {type(error).__name__}: {error}"[:300]) from error
        pairs.no_truncation()
        pairs.no_padding()
        return cls(pairs, hashlib.sha256(file).hexdigest(), byte_level=described.byte_level)

    def count(self, text: str) -> int:
        """Return how many tokens ``text`` takes, without what stands before and after a prompt.

        Other threads run meanwhile: of the library's calls, those for several texts let go of Python's lock.
        """
        return len(self._pairs.encode_batch_fast([text], add_special_tokens=False)[0])
