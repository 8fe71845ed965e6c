"""Run the gateway: ``python -m runtime.gateway``; exit 2 on a wrong environment, 1 where it cannot start."""

from __future__ import annotations

import os
import sys

import uvloop
from botocore.exceptions import BotoCoreError

from runtime.gateway.access.secrets import SecretError
from runtime.gateway.address import MetadataError, listen_address
from runtime.gateway.config import GatewayConfig
from runtime.gateway.serve import serve
from runtime.handoff.certificate import CertificateError
from runtime.handoff.settings import SettingError


def main() -> int:
    """Serve until told to stop; return the exit code."""
    try:
        config = GatewayConfig.from_environment(os.environ)
        uvloop.run(serve(config, listen_address(os.environ)))
    except SettingError as error:
        return _failed(error, 2)
    except (MetadataError, CertificateError, SecretError, OSError, BotoCoreError) as error:
        return _failed(error, 1)
    return 0


def _failed(error: Exception, code: int) -> int:
    sys.stderr.write(f"gateway: {error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
