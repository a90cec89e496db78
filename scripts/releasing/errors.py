"""What stops a release, in a sentence that says what to do."""

from __future__ import annotations


class ReleaseError(Exception):
    """Something is not as a release needs it. Nothing was published because of it."""
