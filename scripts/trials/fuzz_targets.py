"""The parsers of outside bytes, each with sound inputs, a way to strange ones, and what may come of them."""

from __future__ import annotations

import random
from pathlib import Path

from . import fuzz_files, fuzz_sealed, fuzz_texts
from .fuzz_target import Target


def targets(folder: Path, chance: random.Random) -> list[Target]:
    """All of them. folder: for those that read files; it is empty."""
    file = folder / "input"
    return [
        fuzz_sealed.records(chance),
        fuzz_sealed.refs(chance),
        fuzz_sealed.manifests(folder, chance),
        fuzz_sealed.bundles(folder, chance),
        fuzz_files.catalogs(file, chance),
        fuzz_files.headers_in_the_store(file, chance),
        fuzz_files.converted_headers(file, chance),
        fuzz_files.configs(chance),
        fuzz_texts.sources(chance),
        fuzz_texts.settings(chance),
        fuzz_texts.mounts(chance),
        fuzz_texts.owners(chance),
    ]
