"""Measure a cold ``cdk synth`` of the largest example against an empty CDK app of one stack.

The empty app has our feature flags, so the difference is ours alone: constructs, review, assets. Runs are interleaved,
so that whatever else the machine does falls on both; CPU time (user and system, of the whole process tree) is the
steadier figure. The first run of each is thrown away: a user's second synth finds compiled Python and warm files.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_LARGEST = "deployments/llama-3.3-70b-trn2-cs3.yaml"
_GOAL = 1.5
_EMPTY_APP = """\
from aws_cdk import App, Stack

app = App()
Stack(app, "Empty")
app.synth()
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Hold what one synth took, in seconds."""

    wall: float
    cpu: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the medians and their ratio; return 0 whatever they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5, help="measured runs of each app (default: 5)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        apps = {"empty app": (_empty(Path(scratch)), []), "tandem": (_ROOT, ["--context", f"deployment={_LARGEST}"])}
        runs: dict[str, list[Run]] = {name: [] for name in apps}
        for _ in range(options.runs + 1):
            for name, (folder, extra) in apps.items():
                runs[name].append(_synth(folder, extra, Path(scratch) / "cdk.out"))
    _report({name: measured[1:] for name, measured in runs.items()})
    return 0


def _empty(scratch: Path) -> Path:
    folder = scratch / "empty"
    folder.mkdir()
    (folder / "app.py").write_text(_EMPTY_APP)
    (folder / "cdk.json").write_text((_ROOT / "cdk.json").read_text())
    return folder


def _synth(folder: Path, extra: Sequence[str], outdir: Path) -> Run:
    """Run the CLI once and wait for its whole process tree."""
    command = ["cdk", "synth", "--quiet", "--output", str(outdir), *extra]
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        sys.exit(f"cdk synth in {folder} failed with status {done.returncode}:\n{done.stderr}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(wall=wall, cpu=cpu)


def _report(runs: dict[str, list[Run]]) -> None:
    medians = {
        name: Run(wall=statistics.median(r.wall for r in each), cpu=statistics.median(r.cpu for r in each))
        for name, each in runs.items()
    }
    empty, ours = medians["empty app"], medians["tandem"]
    print(f"{'median of ' + str(len(runs['tandem'])):16} {'wall s':>8} {'cpu s':>8}")
    for name, median in medians.items():
        print(f"{name:16} {median.wall:8.2f} {median.cpu:8.2f}")
    print(f"{'ratio':16} {ours.wall / empty.wall:8.2f} {ours.cpu / empty.cpu:8.2f}   (goal: at most {_GOAL})")


if __name__ == "__main__":
    sys.exit(main())
