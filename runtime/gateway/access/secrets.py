"""Keep what is in Secrets Manager at hand, off the request path, so that no rotation needs a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from runtime.gateway.telemetry import log

INTERVAL_SECONDS: Final = 30.0
"""How long a change in Secrets Manager may go unnoticed."""
STAGES: Final = ("AWSCURRENT", "AWSPREVIOUS")

T = TypeVar("T")


class SecretError(RuntimeError):
    """Tell why a secret cannot be used; never holds its value."""


class Secret(Generic[T]):
    """Hold what ``read`` makes of a secret's values, the current and the previous one, as far as there are any.

    ``read`` raises ``ValueError`` for values that cannot be used; the last good ones stay in use then, as they do where
    Secrets Manager cannot be asked.
    """

    def __init__(self, client: Any, arn: str, read: Callable[[Sequence[str]], T]) -> None:
        self._client, self._arn, self._read = client, arn, read
        self._versions: list[str] = []
        self.value: T

    def refresh(self) -> None:
        """Fetch the values where their versions have changed; raise ``SecretError``."""
        try:
            stages = self._client.describe_secret(SecretId=self._arn).get("VersionIdsToStages", {})
            versions = [version for stage in STAGES for version, at in stages.items() if stage in at]
            if versions != self._versions or not hasattr(self, "value"):
                self.value = self._read([self._fetch(version) for version in versions])
                self._versions = versions
        except (BotoCoreError, ClientError) as error:
            raise SecretError(f"secret {self._arn} cannot be read: {error}") from error
        except ValueError as error:
            raise SecretError(f"secret {self._arn} cannot be used: {error}") from error

    def _fetch(self, version: str) -> str:
        text: str = self._client.get_secret_value(SecretId=self._arn, VersionId=version)["SecretString"]
        return text


class Secrets:
    """Refresh secrets as often as ``refresh`` is called."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._watched: list[Secret[Any]] = []

    def watch(self, arn: str, read: Callable[[Sequence[str]], T]) -> Secret[T]:
        """Return a secret whose value is there, and kept fresh; raise ``SecretError``."""
        secret = Secret(self._client, arn, read)
        secret.refresh()
        self._watched.append(secret)
        return secret

    def refresh(self) -> None:
        """Refresh each secret; a failure is logged, and leaves the last good value."""
        for secret in self._watched:
            try:
                secret.refresh()
            except SecretError as error:
                log.write("secret_failed", error=str(error))
