"""Stand in for libfabric's ``fi_info -p efa``: name a device of each ``uverbs`` file that a rehearsed host has.

Run as ``python -m runtime.standins.fi_info -p PROVIDER``; exit 1 where the provider has no device.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runtime.handoff import settings


def main() -> int:
    """Write what libfabric would find, in its form."""
    root = Path(os.environ.get(settings.HOST_ROOT, "/"))
    found = sorted(root.glob("dev/infiniband/uverbs*")) if sys.argv[1:] == ["-p", "efa"] else []
    for device in found:
        name = f"rdmap{device.name.removeprefix('uverbs')}s0-rdm"
        print(f"provider: efa\n    fabric: efa\n    domain: {name}\n    type: FI_EP_RDM\n    protocol: FI_PROTO_EFA")
    if not found:
        print("fi_getinfo: -61 (No data available)", file=sys.stderr)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
