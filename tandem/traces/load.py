"""Take a trace from a file or from a description."""

from __future__ import annotations

from pathlib import Path

from tandem.traces import read, synthetic
from tandem.traces.trace import Trace


def load(name: str) -> Trace:
    """Return the trace in the file ``name``, or the one that ``synthetic:rate=...`` describes.

    Raise ``TraceError``, ``SyntheticError``, ``OSError``.
    """
    if name.startswith(synthetic.PREFIX):
        return synthetic.generate(synthetic.described(name))
    return read.read(Path(name))
