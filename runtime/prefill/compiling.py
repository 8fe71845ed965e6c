"""Compile once for all: fetch artifacts, or win the right to compile them, or wait for who has it; then publish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from runtime.handoff.worker_status import State
from runtime.prefill.artifacts import Artifacts
from runtime.prefill.aws import CredentialsError
from runtime.prefill.bucket import BucketError
from runtime.prefill.claim import Claim, Holding
from runtime.prefill.status import Status

_POLL_SECONDS: Final = 5.0
_ERRORS: Final = (BucketError, CredentialsError)

Say = Callable[[str], None]


def prepare(artifacts: Artifacts, status: Status, say: Say, *, poll: float = _POLL_SECONDS) -> Claim | None:
    """Return None once the artifacts are on disk, or the claim of who is to compile them.

    Raises ``FetchError``, ``BucketError`` and ``CredentialsError``.
    """
    claim = artifacts.claim()
    while not artifacts.fetch(say):
        if claim.attempt():
            if not artifacts.fetch(say):  # published between the look and the claim
                say("artifacts: none are in the bucket, so vLLM compiles, which may take over an hour")
                return claim
            claim.release()
            return None
        if status.state is not State.AWAITING:
            say("artifacts: another worker compiles them; waiting until it is done, or dead")
        status.state = State.AWAITING
        time.sleep(poll)
    return None


@contextmanager
def holding(claim: Claim | None, say: Say) -> Iterator[Holding | None]:
    """Keep ``claim``, where there is one, as long as the context lasts and nobody ends it earlier."""
    held = Holding(claim, lambda error: say(f"artifacts: {error}"), _ERRORS) if claim else None
    try:
        yield held
    finally:
        if held:
            held.end()


async def publish(artifacts: Artifacts, held: Holding | None, say: Say) -> None:
    """Upload what was compiled under ``held`` and end it; what fails is said, since the worker serves all the same."""
    if held is None:
        return
    try:
        await asyncio.to_thread(artifacts.publish, held.holds, say)
    except (*_ERRORS, OSError) as error:
        say(f"artifacts: not published, another start compiles again: {error}")
    await asyncio.to_thread(held.end)
