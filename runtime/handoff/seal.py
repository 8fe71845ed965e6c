"""Carry a prefill worker's own statement about the KV it hands over: whose it is, and what its bytes are.

It travels as ``kv_transfer_params.tandem.seal``; the gateway's ticket covers it. A stock vLLM gives none: its KV is
then fenced by time alone. Digests find what goes wrong by itself: freed and reused blocks, lost or flipped bytes, a
layout read as another. They are no signature: who can write to a worker's memory can also compute them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from runtime.handoff.contract import Code, HandoffError

ALGORITHM: Final = "xxh3-64"
DIGEST_BYTES: Final = 8
_TEXTS: Final = ("generation", "model_digest", "algorithm", "digests")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seal:
    """State where KV comes from and what it is.

    ``generation`` names one life of the worker's KV memory: a restarted worker has another. ``model_digest`` names the
    weights, empty where the worker does not know. ``digests`` has ``DIGEST_BYTES`` for each ``block_tokens`` tokens in
    order, the last block being shorter (``runtime.handoff.kv.digest``).
    """

    generation: str
    model_digest: str
    block_tokens: int
    digests: bytes

    def params(self) -> dict[str, Any]:
        """Return its JSON form."""
        return {
            "generation": self.generation,
            "model_digest": self.model_digest,
            "algorithm": ALGORITHM,
            "block_tokens": self.block_tokens,
            "digests": base64.b64encode(self.digests).decode(),
        }

    @classmethod
    def from_params(cls, given: object, *, num_tokens: int) -> Self | None:
        """Read the JSON form, None where there is none.

        Raises ``HandoffError`` (``kv_incomplete``) on one that cannot be checked: it is never taken for none.
        """
        if given is None:
            return None
        seal = cls._read(given) if isinstance(given, Mapping) else None
        if seal is None or len(seal.digests) != -(-num_tokens // seal.block_tokens) * DIGEST_BYTES:
            needed = f"generation, model_digest, algorithm {ALGORITHM}, block_tokens and a digest for each block"
            raise HandoffError(Code.KV_INCOMPLETE, f"seal is unusable: {needed} of {num_tokens} tokens are needed")
        return seal

    @classmethod
    def _read(cls, given: Mapping[str, Any]) -> Self | None:
        size = given.get("block_tokens")
        texts = {name: given.get(name) for name in _TEXTS}
        if type(size) is not int or size < 1 or not all(isinstance(text, str) for text in texts.values()):
            return None
        try:
            digests = base64.b64decode(str(texts["digests"]), validate=True)
        except ValueError:  # binascii.Error is one, and so is what is not ASCII
            return None
        if texts["algorithm"] != ALGORITHM or not texts["generation"]:
            return None
        return cls(
            generation=str(texts["generation"]),
            model_digest=str(texts["model_digest"]),
            block_tokens=size,
            digests=digests,
        )
