"""Name how a vLLM worker tells its state on its status port, and how it and the gateway know each other there.

The worker serves TLS by a certificate that it made for itself. Both sides hold the worker key, so each proves over the
certificate's digest that it knows the key, the gateway as it asks, the worker as it answers. Who sits between them has
to show a certificate of its own: what it is told is bound to that one, and good for nothing at the other side.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

READY: Final = "/ready"
"""``GET`` answers ``{"state": …, "provider": …, "seconds": …, "state_seconds": …}``.

The status is 200 where requests are welcome, else 503. ``provider`` is what KV goes by: ``efa``, ``other``, or null as
long as vLLM does not serve; ``seconds`` are those since the worker's start, ``state_seconds`` since it is as it is. Who
proves that it knows the worker key is also told ``KEY``, by which vLLM admits requests, ``VERSIONS`` and ``PROOF``.
"""
STATE: Final = "state"
SECONDS: Final = "seconds"
STATE_SECONDS: Final = "state_seconds"
SCHEME: Final = "Tandem"
"""The scheme of the ``Authorization`` header: ``Tandem proof[,proof]``, one for each worker key of the asker."""
KEY: Final = "key"
PROOF: Final = "proof"
VERSIONS: Final = "versions"
"""Versions by package of what computes, compiles and hands over KV; two workers of one stage must not differ."""


class State(StrEnum):
    """Say what a worker does; only in ``READY`` it takes new requests.

    ``FETCHING`` weights and artifacts, ``AWAITING`` artifacts that another worker compiles, ``COMPILING`` them itself.
    """

    FETCHING = "fetching"
    AWAITING = "awaiting-artifacts"
    COMPILING = "compiling"
    STARTING = "starting"
    READY = "ready"
    SILENT = "silent"
    DRAINING = "draining"


SERVING: Final = frozenset({State.READY, State.SILENT, State.DRAINING})
"""The states in which vLLM has served, and may hold requests and KV."""


class Side(StrEnum):
    """Say who proves: one side's proof is no proof of the other's."""

    GATEWAY = "gateway"
    WORKER = "worker"


def proof(side: Side, key: str, address: str, digest: str) -> str:
    """Return the proof that ``side`` knows ``key``, for the worker at ``address`` whose certificate has ``digest``."""
    text = f"tandem worker status v1\n{side}\n{address}\n{digest}"
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def asking(keys: Iterable[str], address: str, digest: str) -> str:
    """Return the ``Authorization`` header of one who holds ``keys``."""
    return f"{SCHEME} {','.join(proof(Side.GATEWAY, key, address, digest) for key in keys)}"


def asked_with(header: str, keys: Iterable[str], address: str, digest: str) -> str | None:
    """Return the first of ``keys`` that the header proves; None where it proves none."""
    return _known(_proofs(header), Side.GATEWAY, keys, address, digest)


def asked_with_newer(header: str, keys: Iterable[str], address: str, digest: str) -> bool:
    """Tell whether the asker's newest key, which it proves first, is none of ``keys``."""
    return _known(_proofs(header)[:1], Side.GATEWAY, keys, address, digest) is None


def answered_with(given: str, keys: Iterable[str], address: str, digest: str) -> str | None:
    """Return the one of ``keys`` that a worker's proof proves; None where it proves none."""
    return _known([given], Side.WORKER, keys, address, digest)


def _proofs(header: str) -> list[str]:
    scheme, _, proofs = header.partition(" ")
    return proofs.split(",") if scheme == SCHEME else []


def _known(given: list[str], side: Side, keys: Iterable[str], address: str, digest: str) -> str | None:
    for key in keys:
        expected = proof(side, key, address, digest).encode()
        if any(hmac.compare_digest(one.encode("utf-8", "surrogateescape"), expected) for one in given):
            return key
    return None
