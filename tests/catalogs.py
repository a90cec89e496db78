"""Catalogs for tests: what a third party would write, naming checkpoints that the tests make."""

from __future__ import annotations

import json
from pathlib import Path

SPREAD_V2 = {"family": "v2", "taps": "spread", "activation": "relu", "max_depth": None}


def checkpoint(
    name: str,
    *,
    repo_id: str,
    filename: str,
    repo_type: str = "model",
    encoder: str | None = None,
    revision: str | None = None,
    revision_corroborations: int = 2,
    sha256: str | None = None,
    sha256_corroborations: int = 2,
    size: int | None = None,
    layout: str = "original",
    build: dict[str, object] | None = None,
) -> dict[str, object]:
    """One checkpoint of a catalog file. What is left out is null."""
    return {
        "name": name,
        "family": "depth-anything-v2",
        "encoder": encoder,
        "repo_id": repo_id,
        "repo_type": repo_type,
        "filename": filename,
        "revision": revision,
        "revision_corroborations": revision_corroborations if revision else None,
        "sha256": sha256,
        "sha256_corroborations": sha256_corroborations if sha256 else None,
        "size": size,
        "licence": "apache-2.0",
        "official": False,
        "layout": layout,
        "build": build or SPREAD_V2,
    }


def write_catalog(path: Path, *checkpoints: dict[str, object]) -> Path:
    path.write_text(json.dumps({"about": "for a test", "version": 1, "aliases": {}, "checkpoints": checkpoints}))
    return path
