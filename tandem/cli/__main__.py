"""Run ``python -m tandem.cli`` as ``tandem``."""

from __future__ import annotations

import sys

from tandem.cli import main

if __name__ == "__main__":
    sys.exit(main())
