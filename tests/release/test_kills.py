"""Steps that are killed, anywhere, and begun again: the release is the one that nobody killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, Run

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.skipif(sys.platform == "win32", reason="it forks")]


@pytest.mark.slow
def test_models_and_manifest_killed_at_any_change_of_a_file_end_with_the_same_bytes(
    release: Run, project: Path, catalog: Path, packages: Path, out: Path, tmp_path: Path
) -> None:
    assert release("models") == 0
    assert release("manifest") == 0
    expected = (out / "SHA256SUMS").read_text()
    kills = _killed(project, tmp_path / "kills", packages, every=23)
    assert len(kills) >= 5
    assert all(killed["killed"] for killed in kills[:-1])
    for killed in kills:
        assert killed["codes"] == [0, 0], killed
        assert killed["sums"] == expected, killed
        assert killed["left_behind"] == [], killed


@pytest.mark.slow
def test_a_release_that_is_killed_again_and_again_gets_there(
    release: Run, project: Path, catalog: Path, packages: Path, out: Path, tmp_path: Path
) -> None:
    assert release("models") == 0
    assert release("manifest") == 0
    kills = _killed(project, tmp_path / "kills", packages, every=31, in_one_folder=True)
    assert len(kills) >= 4
    assert kills[-1]["sums"] == (out / "SHA256SUMS").read_text()


def test_what_a_kill_leaves_is_never_taken_for_a_release(
    release: Run, catalog: Path, packages: Path, out: Path
) -> None:
    """Models and no manifest: nothing to upload. A manifest, and not all of the models: neither."""
    assert release("upload", "--dry-run") == 1
    assert release("models") == 0
    assert release("upload", "--dry-run") == 1
    assert release("manifest") == 0
    assert release("upload", "--dry-run") == 0
    next((out / "models").glob("*.tar")).unlink()
    assert release("upload", "--dry-run") == 1


def _killed(
    project: Path, folder: Path, packages: Path, *, every: int, in_one_folder: bool = False
) -> list[dict[str, object]]:
    """What became of each release that was killed before its n-th change of a file, n = 1, 1 + every, ...

    The last one came to its end without a kill. in_one_folder: it is one release, that goes on each time.
    """
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(project), str(folder), str(packages)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / n) for n in ("scripts", "registry", "cache"))}
    done = subprocess.run(
        [*command, str(every), *(["one"] if in_one_folder else [])],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(folder, ignore_errors=True)
    return json.loads(done.stdout.splitlines()[-1])
