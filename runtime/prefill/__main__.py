"""Start vLLM and stay with it: ``python3 -m runtime.prefill serve MODEL [flags of vllm serve]``.

Exit 2 on wrong arguments or environment, 3 where the host lacks a device or EFA, 4 where the weights cannot be had, 5
where vLLM does not serve, 1 where the host's address, the worker key or a certificate cannot be had or the status port
is taken, 127 where there is no ``vllm``; else with vLLM's own status.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runtime.handoff import settings
from runtime.handoff.certificate import Certificate, CertificateError
from runtime.handoff.settings import SettingError
from runtime.prefill import host, launch, status, weights
from runtime.prefill.aws import CredentialsError
from runtime.prefill.bucket import BucketError
from runtime.prefill.engine import Engine
from runtime.prefill.host import HostError
from runtime.prefill.instance import MetadataError, local_ipv4
from runtime.prefill.keys import SecretError, WorkerKeys
from runtime.prefill.launch import ArgumentError
from runtime.prefill.status import Identity, Status
from runtime.prefill.supervisor import Limits, Supervisor
from runtime.prefill.telemetry import Telemetry, reporting
from runtime.prefill.weights import WeightsError

_API_KEY_BYTES: Final = 32


def main() -> int:
    """Check the host, fetch what is missing, and supervise vLLM; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until vLLM runs there is nothing to end but this process
    try:
        host.check(os.environ)
        return asyncio.run(_run(sys.argv[1:], os.environ, local_ipv4(os.environ)))
    except (ArgumentError, SettingError) as error:
        return _failed(error, 2)
    except HostError as error:
        return _failed(error, 3)
    except (WeightsError, BucketError, CredentialsError) as error:
        return _failed(error, 4)
    except (MetadataError, CertificateError, SecretError) as error:
        return _failed(error, 1)
    except FileNotFoundError as error:
        return _failed(f"cannot run {launch.PROGRAM}: {error}", 127)
    except OSError as error:
        return _failed(error, 1)


async def _run(arguments: Sequence[str], task: Mapping[str, str], address: str) -> int:
    certificate = Certificate.issue(address)
    launch.command(arguments, address, certificate.path)  # refused before weights are fetched for an hour
    # of this run only, and told to gateways on the status port: so no rotation of a key has to restart vLLM
    api_key = secrets.token_urlsafe(_API_KEY_BYTES)
    environment = launch.environment(task, address, api_key)
    engine = Engine.of(arguments, address, api_key, certificate.client())
    limits = Limits(
        start=settings.required_int(task, settings.START_SECONDS),
        drain=settings.required_int(task, settings.DRAIN_SECONDS),
    )
    keys, state, telemetry = WorkerKeys(task, _say), Status(), Telemetry(task)
    identity = Identity(address=address, digest=certificate.digest, api_key=api_key, keys=keys)
    async with (
        keys.kept_fresh(),
        status.serving(state, identity, certificate.server(), settings.required_int(task, settings.STATUS_PORT)),
        reporting(telemetry, engine, state, _write),
    ):
        command = launch.command(arguments, address, certificate.path, await _weights(task))
        return await Supervisor(engine, state, limits, _say).run(command, environment)


async def _weights(task: Mapping[str, str]) -> Path | None:
    return await asyncio.to_thread(weights.fetch, task, _say)


def _say(text: str) -> None:
    _write(f"prefill: {text}")


def _write(line: str) -> None:
    print(line, flush=True)


def _failed(reason: object, code: int) -> int:
    sys.stderr.write(f"prefill: {reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
