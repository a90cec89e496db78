from __future__ import annotations

import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"

if str(SCRIPTS) not in sys.path:  # where scripts/fleet_sim finds the package
    sys.path.insert(0, str(SCRIPTS))
