"""Become vLLM: ``python3 -m runtime.prefill serve MODEL [flags of vllm serve]``.

Exit 2 on wrong arguments or environment, 3 where the host lacks a device or EFA, 1 where its address cannot be had,
127 where there is no ``vllm``.
"""

from __future__ import annotations

import os
import sys

from runtime.handoff.settings import SettingError
from runtime.prefill import host, launch
from runtime.prefill.host import HostError
from runtime.prefill.instance import MetadataError, local_ipv4
from runtime.prefill.launch import ArgumentError


def main() -> int:
    """Replace this process by vLLM; return the exit code where that fails."""
    try:
        host.check(os.environ)
        address = local_ipv4(os.environ)
        arguments = launch.command(sys.argv[1:], address)
        environment = launch.environment(os.environ, address)
        os.execvpe(launch.PROGRAM, arguments, environment)  # noqa: S606 - the signals of ECS must reach vLLM itself
    except (ArgumentError, SettingError) as error:
        return _failed(error, 2)
    except HostError as error:
        return _failed(error, 3)
    except MetadataError as error:
        return _failed(error, 1)
    except OSError as error:
        return _failed(f"cannot run {launch.PROGRAM}: {error}", 127)


def _failed(reason: object, code: int) -> int:
    sys.stderr.write(f"prefill: {reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
