"""Run the stand-in: ``python -m runtime.standins.vllm serve MODEL …``, with vLLM's flags and environment.

Exit status: 0 after SIGTERM or SIGINT, 2 for a command line or environment that is refused, 1 if it cannot start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from runtime.handoff.contract import HandoffError
from runtime.standins.engine.model_file import ModelFileError
from runtime.standins.vllm import flags
from runtime.standins.vllm.serving import run


def main() -> int:
    """Serve until told to stop."""
    serve = flags.read(sys.argv[1:], os.environ)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # a stand-in talks to its own machine only; UCX would otherwise choose among all its networks
    os.environ.setdefault("UCX_NET_DEVICES", "lo")
    try:
        asyncio.run(run(serve, os.environ))
    except (HandoffError, ModelFileError, OSError, ValueError) as error:
        print(f"vllm stand-in cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
