"""Keep the worker key fresh from Secrets Manager, so that its rotation restarts no worker."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from http.client import HTTPException
from typing import Final

from runtime.handoff import background, settings
from runtime.handoff.settings import required
from runtime.prefill import aws
from runtime.prefill.aws import CredentialsError

INTERVAL_SECONDS: Final = 300.0
"""How long a rotation may go unnoticed where nobody asks with a key that is not known."""
RETRY_SECONDS: Final = 10.0
"""How soon Secrets Manager is asked again where somebody does, or where it failed."""
_TIMEOUT_SECONDS: Final = 5.0
_STAGES: Final = ("AWSCURRENT", "AWSPREVIOUS")


class SecretError(RuntimeError):
    """Tell why the worker key could not be read; never holds it."""


class WorkerKeys:
    """Hold the current key and the one before; the last good ones stay where Secrets Manager fails."""

    def __init__(self, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
        self._environment, self._say = environment, say
        self._wanted = asyncio.Event()
        self.known: tuple[str, ...] = ()

    def miss(self) -> None:
        """Note that somebody's newest key is not known here: the secret may have been rotated."""
        self._wanted.set()

    async def refresh(self) -> None:
        """Read both keys; raise ``SecretError``."""
        found = [await asyncio.to_thread(read, self._environment, stage) for stage in _STAGES]
        if found[0] is None:
            raise SecretError("the secret of the worker key has no value: write one, or have it rotated")
        self.known = tuple(key for key in found if key)

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Read the keys once, which may raise ``SecretError``, and then again and again while the context lasts."""
        await self.refresh()
        async with background.running(self._run()):
            yield

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), INTERVAL_SECONDS - RETRY_SECONDS)
            self._wanted.clear()
            try:
                await self.refresh()
            except SecretError as error:
                self._say(str(error))
                self._wanted.set()


def read(environment: Mapping[str, str], stage: str) -> str | None:
    """Return the worker key of a stage, None where there is none; raise ``SecretError`` or ``SettingError``."""
    region = required(environment, "AWS_REGION")
    arn = required(environment, settings.WORKER_SECRET_ARN)
    endpoint = environment.get("AWS_ENDPOINT_URL") or f"https://secretsmanager.{region}.amazonaws.com"
    body = json.dumps({"SecretId": arn, "VersionStage": stage}).encode()
    try:
        request = aws.signed_call(
            endpoint,
            body,
            target="secretsmanager.GetSecretValue",
            service="secretsmanager",
            region=region,
            keys=aws.credentials(environment),
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - AWS's own endpoint
            return str(json.load(answer)["SecretString"])
    except urllib.error.HTTPError as error:
        said = error.read(300).decode(errors="replace")
        if "ResourceNotFoundException" in said and stage != _STAGES[0]:
            return None  # never rotated yet
        raise SecretError(f"the secret {arn} cannot be read: HTTP {error.code} {said}") from error
    except (OSError, HTTPException, CredentialsError, ValueError, KeyError) as error:
        raise SecretError(f"the secret {arn} cannot be read: {type(error).__name__}") from error
