"""`python scripts/fleet`, and `python -m fleet` where `scripts/` is on the path."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from fleet.command import main

    sys.exit(main())
