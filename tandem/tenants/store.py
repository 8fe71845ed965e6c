"""Read and change the secret of tenants, so that of two operators at once neither undoes what the other did."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from runtime.gateway.access import tenants
from tandem.tenants.change import Change, TenantError, Tenants

MAX_BYTES: Final = 65536
"""What one secret holds (Secrets Manager quotas); about 300 tenants."""
_CURRENT: Final = "AWSCURRENT"
_PROPOSED: Final = "tandem-proposed"
_FIRST: Final = str(uuid.UUID(int=1))
"""The version id of the first document: of two first writers, Secrets Manager refuses the second."""
_ATTEMPTS: Final = 5
_OVERTAKEN: Final = ("InvalidParameterException", "ResourceExistsException")


@dataclass(frozen=True, slots=True)
class Store:
    """Hold a Secrets Manager client and the secret's ARN."""

    client: Any
    arn: str

    def read(self) -> Tenants:
        """Return the tenants, none where nothing was written yet; raise ``TenantError`` for a document that is none."""
        return self._read(self._current())

    def change(self, change: Change) -> None:
        """Apply a change, again where another one came first; raise ``TenantError``."""
        for _ in range(_ATTEMPTS):
            version = self._current()
            text = tenants.dump(change(self._read(version)))
            if len(text.encode()) > MAX_BYTES:
                raise TenantError(
                    f"the document would take {len(text.encode())} of {MAX_BYTES} bytes: too many tenants"
                )
            if self._write(text, version):
                return
        raise TenantError(f"the secret was changed by others {_ATTEMPTS} times meanwhile: try again")

    def _current(self) -> str | None:
        stages: Mapping[str, list[str]] = self.client.describe_secret(SecretId=self.arn).get("VersionIdsToStages", {})
        return next((version for version, at in stages.items() if _CURRENT in at), None)

    def _read(self, version: str | None) -> Tenants:
        if version is None:
            return ()
        text = self.client.get_secret_value(SecretId=self.arn, VersionId=version)["SecretString"]
        try:
            return tenants.load(text)
        except ValueError as error:
            raise TenantError(f"secret {self.arn} cannot be used: {error}") from error

    def _write(self, text: str, version: str | None) -> bool:
        """Make ``text`` current in the place of ``version``; return whether that was still the current one."""
        token = _FIRST if version is None else str(uuid.uuid4())
        # a label, since without one the version would become current at once, whatever came first
        stages = {} if version is None else {"VersionStages": [_PROPOSED]}
        try:
            self.client.put_secret_value(SecretId=self.arn, ClientRequestToken=token, SecretString=text, **stages)
            if version is not None:
                self.client.update_secret_version_stage(
                    SecretId=self.arn, VersionStage=_CURRENT, MoveToVersionId=token, RemoveFromVersionId=version
                )
        except ClientError as error:
            if error.response["Error"]["Code"] in _OVERTAKEN and self._current() != version:
                return False
            raise
        return True
