"""What a recipe finds in place of the outer world: a Hub with checkpoints, and a wheel whose catalog knows them.

The names, repositories and files are those of the built-in catalog. The bytes are not: the authors' weights are not
here, so each file is made by a rule, and the catalog that is built into the wheel states the digests of these files.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from depthhub.testing import LocalHub, make_checkpoint

PROJECT = Path(__file__).resolve().parents[2]

MODELS = {"v2-vits": 0, "v2-metric-hypersim-vits": 1}
"""Names of the catalog that the Hub has, each with the seed of its numbers."""

_CATALOG = "registry/depthhub/catalog/catalog.json"


def fill(hub: LocalHub, folder: Path, encoder: str) -> dict[str, dict[str, Any]]:
    """Put each of the models on the Hub: for its name, the facts that a catalog states of it."""
    facts = {}
    for name, seed in MODELS.items():
        stated = _stated(name)
        path = make_checkpoint(folder / Path(stated["filename"]).name, encoder=encoder, seed=seed)
        commit = hub.add_file(stated["repo_id"], stated["filename"], path, repo_type=stated["repo_type"])
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        facts[name] = {
            "encoder": encoder if encoder == stated["encoder"] else None,
            "revision": commit,
            "revision_corroborations": 2,
            "sha256": sha256,
            "sha256_corroborations": 2,
            "size": path.stat().st_size,
        }
    return facts


def build_wheel(folder: Path, facts: Mapping[str, Mapping[str, Any]]) -> Path:
    """The project's wheel, in `folder`, with `facts` in its catalog."""
    tree = folder / "tree"
    for part in ("registry", "cache"):
        shutil.copytree(PROJECT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / part, tree / part)
    catalog = json.loads((tree / _CATALOG).read_text(encoding="utf-8"))
    for checkpoint in catalog["checkpoints"]:
        checkpoint.update(facts.get(checkpoint["name"], {}))
    (tree / _CATALOG).write_text(json.dumps(catalog), encoding="utf-8")
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder), str(tree)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    shutil.rmtree(tree)
    [wheel] = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The wheel's packages in a folder, for PYTHONPATH: what it needs is in this environment already."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def _stated(name: str) -> dict[str, Any]:
    catalog = json.loads((PROJECT / _CATALOG).read_text(encoding="utf-8"))
    return next(checkpoint for checkpoint in catalog["checkpoints"] if checkpoint["name"] == name)
