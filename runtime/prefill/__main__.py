"""Become vLLM: ``python3 -m runtime.prefill serve MODEL [flags of vllm serve]``.

Exit 2 on wrong arguments or environment, 3 where the host lacks a device or EFA, 4 where the weights cannot be had, 1
where its address cannot be had, 127 where there is no ``vllm``.
"""

from __future__ import annotations

import os
import sys

from runtime.handoff.settings import SettingError
from runtime.prefill import host, launch, weights
from runtime.prefill.aws import CredentialsError
from runtime.prefill.bucket import BucketError
from runtime.prefill.host import HostError
from runtime.prefill.instance import MetadataError, local_ipv4
from runtime.prefill.launch import ArgumentError
from runtime.prefill.weights import WeightsError


def main() -> int:
    """Replace this process by vLLM; return the exit code where that fails."""
    try:
        host.check(os.environ)
        address = local_ipv4(os.environ)
        launch.command(sys.argv[1:], address)  # refused before weights are fetched for an hour
        environment = launch.environment(os.environ, address)
        arguments = launch.command(sys.argv[1:], address, weights.fetch(os.environ, _say))
        os.execvpe(launch.PROGRAM, arguments, environment)  # noqa: S606 - the signals of ECS must reach vLLM itself
    except (ArgumentError, SettingError) as error:
        return _failed(error, 2)
    except HostError as error:
        return _failed(error, 3)
    except (WeightsError, BucketError, CredentialsError) as error:
        return _failed(error, 4)
    except MetadataError as error:
        return _failed(error, 1)
    except OSError as error:
        return _failed(f"cannot run {launch.PROGRAM}: {error}", 127)


def _say(text: str) -> None:
    print(f"prefill: {text}", flush=True)


def _failed(reason: object, code: int) -> int:
    sys.stderr.write(f"prefill: {reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
