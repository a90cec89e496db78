"""What is locked here."""

from __future__ import annotations

REPO, FILE = "me/forest", "forest.pth"
CARD = b"---\nlicense: MIT\ntags: []\n---\n# Forest\n"
