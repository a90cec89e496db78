from __future__ import annotations

import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"

if str(SCRIPTS) not in sys.path:  # where scripts/benchmark finds the package
    sys.path.insert(0, str(SCRIPTS))

if sys.platform == "win32":  # it forks its Hub, and looks into /proc
    collect_ignore_glob = ["test_*"]
