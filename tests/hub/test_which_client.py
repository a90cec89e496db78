"""`scripts/test-oldest-hub` runs these rooms against another version of the client: make sure that it does."""

from __future__ import annotations

import os

import huggingface_hub
import pytest

EXPECTED = os.environ.get("DEPTHHUB_EXPECT_HUB")
"""Read here: tests see none of these."""


@pytest.mark.skipif(EXPECTED is None, reason="only where a version is asked for")
def test_the_client_is_the_version_that_was_asked_for() -> None:
    assert huggingface_hub.__version__ == EXPECTED
