"""Bring one worker up on its host: weights, compiled artifacts, then vLLM under supervision."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.handoff import settings
from runtime.handoff.certificate import Certificate
from runtime.handoff.worker_status import State
from runtime.prefill import launch, status, versions, weights
from runtime.prefill.artifacts import CACHE_ROOT, Artifacts
from runtime.prefill.claim import Claim
from runtime.prefill.compiling import holding, prepare, publish
from runtime.prefill.engine import Engine
from runtime.prefill.keys import WorkerKeys
from runtime.prefill.recovery import Recovery
from runtime.prefill.start import Start
from runtime.prefill.status import Identity, Status
from runtime.prefill.supervisor import Limits, Supervisor
from runtime.prefill.telemetry import Telemetry, reporting

_API_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Worker:
    """Run by a task's environment; ``recovery`` hears of failures that may be the host's, ``write`` of metrics."""

    task: Mapping[str, str]
    recovery: Recovery
    say: Callable[[str], None]
    write: Callable[[str], None]

    async def run(self, arguments: Sequence[str], address: str) -> int:
        """Serve until vLLM ends or is to stop; return the exit status.

        Raises ``ArgumentError``, ``SettingError``, ``FetchError``, ``BucketError``, ``CredentialsError``,
        ``CertificateError``, ``SecretError`` and ``OSError``.
        """
        certificate = Certificate.issue(address)
        launch.command(arguments, address, certificate.path)  # refused before weights are fetched for an hour
        # of this run only, and told to gateways on the status port: so no rotation of a key has to restart vLLM
        api_key = secrets.token_urlsafe(_API_KEY_BYTES)
        engine = Engine.of(arguments, address, api_key, certificate.client())
        artifacts, state = Artifacts.of(self.task, versions.sdk()), Status(State.FETCHING)
        warm, cold, drain, port = self._numbers()
        keys = WorkerKeys(self.task, self.say)
        identity = Identity(
            address=address, digest=certificate.digest, api_key=api_key, keys=keys, versions=versions.software()
        )
        async with (
            keys.kept_fresh(),
            status.serving(state, identity, certificate.server(), port),
            reporting(Telemetry(self.task), engine, state, self.write),
        ):
            folder = await asyncio.to_thread(weights.fetch, self.task, self.say)
            claim = await asyncio.to_thread(prepare, artifacts, state, self.say)
            start = Start(warm=warm, cold=cold, compiles=_compiles(artifacts, claim))
            with holding(claim, self.say) as held:
                supervisor = Supervisor(
                    engine,
                    state,
                    Limits(start=start, drain=drain),
                    self.say,
                    lambda: publish(artifacts, held, self.say),
                )
                environment = {**launch.environment(self.task, address, api_key), CACHE_ROOT: str(artifacts.root)}
                code = await supervisor.run(launch.command(arguments, address, certificate.path, folder), environment)
        if code and not supervisor.told_to_stop:
            await asyncio.to_thread(self.recovery.failed, f"vLLM ended with status {code}")
        return code

    def _numbers(self) -> tuple[int, int, int, int]:
        names = (settings.WARM_START_SECONDS, settings.START_SECONDS, settings.DRAIN_SECONDS, settings.STATUS_PORT)
        warm, cold, drain, port = (settings.required_int(self.task, name) for name in names)
        return warm, cold, drain, port


def _compiles(artifacts: Artifacts, claim: Claim | None) -> Callable[[], bool]:
    """Tell, also where artifacts were fetched, whether vLLM compiles: it did not find its graph among them."""
    known = artifacts.entries()
    return lambda: claim is not None or not artifacts.entries() <= known
