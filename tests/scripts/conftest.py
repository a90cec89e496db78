from __future__ import annotations

import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"

if str(SCRIPTS) not in sys.path:  # where scripts/catalog-check finds its package
    sys.path.insert(0, str(SCRIPTS))
