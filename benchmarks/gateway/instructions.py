"""Count the gateway's instructions for a short request: ``python -m benchmarks.gateway.instructions``; needs valgrind.

They are those of the program itself, without the kernel's, and the same within 1 % however busy the machine is: so two
versions can be compared where times cannot.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.gateway.measure import build, load, running
from benchmarks.gateway.peers import CACHE, Relay, ours

_COUNTED: Final = (CACHE / "instructions").absolute()
_CONNECTIONS: Final = 16
_SECONDS: Final = 60
_REQUESTS: Final = 400


def _valgrind(provider: str) -> Relay:
    def command(folder: Path, port: int, peers: int) -> Sequence[str]:
        counting = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={_COUNTED}"]
        return [*counting, *ours(provider).command(folder, port, peers)]

    return Relay(name="counted", command=command, program="valgrind")


def _control(pid: int, *order: str) -> None:
    subprocess.run(["callgrind_control", *order, str(pid)], check=True, capture_output=True)


def counted(provider: str) -> float:
    """Return the instructions of one request, of some hundred, once everything is warm."""
    for old in CACHE.glob(f"{_COUNTED.name}*"):
        old.unlink()
    with running(_valgrind(provider)) as gateway:
        load("short", _CONNECTIONS, _SECONDS, _REQUESTS)
        _control(gateway.group, "--instr=on")
        load("short", _CONNECTIONS, _SECONDS, _CONNECTIONS)
        _control(gateway.group, "--dump")
        requests: int = load("short", _CONNECTIONS, _SECONDS, _REQUESTS)["requests"]
        _control(gateway.group, "--dump")
    lines = _COUNTED.with_name(f"{_COUNTED.name}.2").read_text().splitlines()
    [total] = [line for line in lines if line.startswith("totals:")]
    return int(total.split()[1]) / requests


def main() -> None:
    """Print what each provider takes."""
    build()
    for provider in ("vllm", "cs3"):
        print(f"{provider}: {counted(provider):,.0f} instructions a short request")


if __name__ == "__main__":
    main()
