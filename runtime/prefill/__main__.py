"""Start vLLM and stay with it: ``python3 -m runtime.prefill serve MODEL [flags of vllm serve]``.

``compile`` instead of ``serve`` fills the bucket with compiled artifacts and ends.

Exit 2 on wrong arguments or environment, 3 where the host lacks a device or EFA, 4 where weights or artifacts cannot be
had, 5 where vLLM does not serve or compile, 6 where the image lacks EFA's programs, 1 where the host's address, the
worker key or a certificate cannot be had or the status port is taken, 127 where there is no ``vllm``; else with vLLM's
own status.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from runtime.handoff import settings
from runtime.handoff.certificate import CertificateError
from runtime.handoff.settings import SettingError
from runtime.prefill import compile_job, host, launch, versions, weights
from runtime.prefill.artifacts import Artifacts
from runtime.prefill.aws import CredentialsError
from runtime.prefill.bucket import BucketError
from runtime.prefill.fetch import FetchError
from runtime.prefill.host import HostError, ImageError
from runtime.prefill.instance import MetadataError, local_ipv4
from runtime.prefill.keys import SecretError
from runtime.prefill.launch import ArgumentError
from runtime.prefill.recovery import Recovery
from runtime.prefill.worker import Worker


def main() -> int:
    """Do what the arguments ask for; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until vLLM runs there is nothing to end but this process
    arguments, task = sys.argv[1:], os.environ
    recovery = Recovery(task, _say)
    try:
        if arguments[:1] == [compile_job.VERB]:
            return asyncio.run(_compile(["serve", *arguments[1:]], task))
        host.check(task)
        return asyncio.run(Worker(task, recovery, _say, _write).run(arguments, local_ipv4(task)))
    except (ArgumentError, SettingError) as error:
        return _failed(error, 2)
    except HostError as error:
        recovery.replace_host(str(error))
        return _failed(error, 3)
    except (FetchError, BucketError, CredentialsError) as error:
        return _failed(error, 4)
    except ImageError as error:
        return _failed(error, 6)
    except (MetadataError, CertificateError, SecretError) as error:
        return _failed(error, 1)
    except FileNotFoundError as error:
        return _failed(f"cannot run {launch.PROGRAM}: {error}", 127)
    except OSError as error:
        return _failed(error, 1)


async def _compile(arguments: Sequence[str], task: Mapping[str, str]) -> int:
    launch.command(arguments, "", "")  # refused before weights are fetched for an hour
    settings.required_int(task, settings.START_SECONDS)
    folder = await asyncio.to_thread(weights.fetch, task, _say)
    return await compile_job.run(arguments, task, folder, Artifacts.of(task, versions.sdk()), _say)


def _say(text: str) -> None:
    _write(f"prefill: {text}")


def _write(line: str) -> None:
    print(line, flush=True)


def _failed(reason: object, code: int) -> int:
    sys.stderr.write(f"prefill: {reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
