"""What the README and the package promise."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VARIABLES = {
    "cache_dir": "DEPTHHUB_CACHE",
    "lower_caches": "DEPTHHUB_CACHE",
    "endpoint": "HF_ENDPOINT",
    "token": "HF_TOKEN",
    "allow_licences": "DEPTHHUB_ALLOW_LICENSES",
    "offline": "HF_HUB_OFFLINE",
}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readmes_table_of_models_is_the_catalogs() -> None:
    table = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "models_table.py")], check=True, text=True, capture_output=True
    ).stdout
    assert table in README, "run scripts/models-table and put what it prints into README.md"


def test_every_path_and_link_in_the_readme_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
    for script in re.findall(r"`?(scripts/[\w./-]+)`?", README):
        assert (ROOT / script).exists(), script


def test_every_setting_in_the_code_is_in_the_readme() -> None:
    from depthhub.settings import Settings

    for name in Settings._fields:
        assert VARIABLES.get(name, f"_{name.upper()}") in README, name


@pytest.mark.slow
def test_the_wheel_holds_the_data_and_the_types(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT],
        check=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"depthhub/catalog/catalog.json", "depthhub/py.typed", "depthhub_cache/py.typed"} <= names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"depthhub", "depthhub_cache"}


@pytest.mark.slow
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_the_demo_runs_to_its_end(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), "--out", str(tmp_path / "demo")],
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "demo" / "coffee-depth.png").stat().st_size > 10_000
    for step in ("the Hub names", "downloaded and verified", "inferred", "published", "loaded", "second process"):
        assert step in found.stdout
