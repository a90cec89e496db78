"""What the tests' Hub has."""

from __future__ import annotations

REPO, FILE = "owner/repo", "weights/tiny.pth"
SOURCE = f"{REPO}/{FILE}"

OTHER_TAPS = [1, 2, 3, 8]
"""`out_indices` that no family has of itself."""
