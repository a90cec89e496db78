"""`scripts/release models` and `manifest`: what is made, what is not, and that it is always the same."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from depthhub.catalog import Catalog
from depthhub.lockfile import Lockfile
from depthhub.testing import Fault, LocalHub, make_checkpoint

from ..catalogs import write_catalog
from .conftest import ROOT, TIME, Run, commit, git, write_packages

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def made(release: Run, catalog: Path, packages: Path, out: Path) -> Path:
    """The output folder after both steps."""
    assert release("models") == 0
    assert release("manifest") == 0
    return out


def test_each_model_is_two_objects_of_a_remote_store_a_bundle_and_a_card(made: Path) -> None:
    locked = Lockfile.read(made / "models" / "depthhub.lock").models
    assert [model.name for model in locked] == ["demo-one", "demo-two"]
    names = {path.name for path in (made / "models").iterdir()}
    assert names == {
        "depthhub.lock",
        "LICENSE-apache-2.0.txt",
        *(f"{model.key}.json" for model in locked),
        *(f"{model.weights_sha256}.safetensors" for model in locked),
        *(f"{model.name}.tar" for model in locked),
        *(f"{model.name}.md" for model in locked),
    }


def test_what_may_not_be_redistributed_is_neither_fetched_nor_made_and_its_digests_are_listed(
    made: Path, local_hub: LocalHub, checkpoints: dict[str, Path]
) -> None:
    assert not any("closed" in asked.path or "other" in asked.path for asked in local_hub.requests)
    withheld = {model["name"]: model for model in manifest_of(made)["withheld"]}
    closed = withheld["demo-closed"]
    assert closed["reason"] == "Its licence is cc-by-nc-4.0."
    assert closed["sha256"] == hashlib.sha256(checkpoints["closed"].read_bytes()).hexdigest()
    assert re.fullmatch("[0-9a-f]{64}", closed["key"])
    assert "does not state its sha256" in withheld["demo-unstated"]["reason"]
    assert "disputed" in withheld["v2-metric-vkitti-vits"]["reason"]
    assert withheld["v2-vitl"]["licence"] == "cc-by-nc-4.0"
    texts = [path.read_bytes() for path in made.rglob("*") if path.is_file() and path != made / "manifest.json"]
    assert not any(closed["sha256"].encode() in text or closed["key"].encode() in text for text in texts)


def test_the_key_of_what_is_withheld_is_that_of_the_entry_that_a_user_makes(made: Path) -> None:
    from depthhub import prewarm

    (there,) = prewarm(["demo-closed"])
    assert there.key == next(m["key"] for m in manifest_of(made)["withheld"] if m["name"] == "demo-closed")


def test_the_gate_lets_pass_exactly_the_permissive_and_stated_ones_of_the_real_catalog() -> None:
    from releasing.models import redistributable

    assert [entry.name for entry in redistributable(Catalog.load())] == [
        "v2-vits",
        "v2-metric-hypersim-vits",
        "v1-vits",
        "v1-vitb",
        "v1-vitl",
        "distill-vits",
        "v2-vits-hf",
        "v2-metric-indoor-vits-hf",
    ]


def test_who_calls_the_same_bytes_by_another_name_and_licence_does_not_get_past_the_gate(tmp_path: Path) -> None:
    from releasing.licences import why_withheld

    built_in = json.loads((ROOT / "registry/depthhub/catalog/catalog.json").read_text())["checkpoints"]
    stated = next(data for data in built_in if data["name"] == "v2-vitb")
    mine = {**stated, "name": "mine", "repo_id": "me/mine", "licence": "apache-2.0"}
    catalog = Catalog.known(write_catalog(tmp_path / "catalog.json", mine))
    assert why_withheld(catalog.find("mine"), catalog) == (
        "Its licence is cc-by-nc-4.0, as v2-vitb, which has the same bytes."
    )


def test_a_licence_that_became_stricter_stops_the_manifest(release: Run, made: Path, catalog: Path, capsys) -> None:
    text = json.loads(catalog.read_text())
    next(model for model in text["checkpoints"] if model["name"] == "demo-two")["licence"] = "cc-by-nc-4.0"
    catalog.write_text(json.dumps(text))
    assert release("manifest") == 1
    assert "demo-two must not be uploaded. Its licence is cc-by-nc-4.0." in capsys.readouterr().err
    assert release("models") == 0
    assert not [path for path in (made / "models").iterdir() if "two" in path.name], "what was made before is gone"
    assert release("manifest") == 0


def test_a_hub_that_has_other_bytes_than_the_one_source_stated_stops_it(
    release: Run, catalog: Path, local_hub: LocalHub, out: Path, tmp_path: Path, capsys
) -> None:
    other = make_checkpoint(tmp_path / "other.safetensors", seed=9)
    _move(catalog, "demo-two", local_hub.add_file("authors/two", "model.safetensors", other))
    assert release("models") == 1
    assert "and the catalog states" in capsys.readouterr().err
    assert not [path for path in (out / "models").iterdir() if path.name != "depthhub.lock"]


def test_a_hub_that_serves_closed_weights_under_an_open_name_stops_it(
    release: Run, catalog: Path, local_hub: LocalHub, checkpoints: dict[str, Path], out: Path, capsys
) -> None:
    _move(catalog, "demo-two", local_hub.add_file("authors/two", "model.safetensors", checkpoints["closed"]))
    assert release("models") == 1
    assert "its licence is cc-by-nc-4.0, as stated by the catalog, of demo-closed" in capsys.readouterr().err
    assert not (out / "models").exists()


def test_the_card_says_everything_that_has_to_be_known(made: Path, local_hub: LocalHub) -> None:
    (model,) = [found for found in manifest_of(made)["models"] if found["name"] == "demo-one"]
    card = (made / "models" / "demo-one.md").read_text()
    facts = ("licence", "repo_id", "commit", "sha256", "key", "weights_sha256")
    assert all(model[fact] in card for fact in facts), [fact for fact in facts if model[fact] not in card]
    assert json.dumps(model["recipe"], sort_keys=True) in card
    assert 'from_pretrained("demo-one")' in card
    assert "https://github.com/me/depthhub/releases/download/v1.2.3" in card
    assert "What was changed" in card
    assert "LICENSE-apache-2.0.txt" in card


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_the_sums_are_those_that_sha256sum_checks_and_the_manifest_lists_the_same(made: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (*(made / "models").iterdir(), *(made / "packages").iterdir(), made / "manifest.json"):
        shutil.copy(path, flat)
    command = ["sha256sum", "--check", "--strict", "--quiet", str(made / "SHA256SUMS")]
    assert subprocess.run(command, cwd=flat, check=False).returncode == 0
    assert len((made / "SHA256SUMS").read_text().splitlines()) == len([*flat.iterdir()])
    listed = {asset["name"]: asset for asset in manifest_of(made)["assets"]}
    assert listed.keys() == {path.name for path in flat.iterdir()} - {"manifest.json"}
    assert all(listed[name]["size"] == (flat / name).stat().st_size for name in listed)


def test_the_notes_have_the_changes_of_the_version_and_every_model(made: Path) -> None:
    notes = (made / "notes.md").read_text()
    assert notes.startswith("- The first.\n")
    assert "Later." not in notes
    assert "Before." not in notes
    assert "| `demo-one` | apache-2.0 |" in notes
    assert "| `demo-closed` | cc-by-nc-4.0 | Its licence is cc-by-nc-4.0. |" in notes


def test_another_machine_at_another_time_makes_the_same_bytes(
    release: Run, made: Path, packages: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(packages, elsewhere / "packages")
    old = os.umask(0o077)
    try:
        assert release("models", folder=elsewhere) == 0
        assert release("manifest", folder=elsewhere) == 0
    finally:
        os.umask(old)
    assert (elsewhere / "SHA256SUMS").read_text() == (made / "SHA256SUMS").read_text()


def test_a_second_run_downloads_and_converts_nothing_and_changes_nothing(
    release: Run, made: Path, local_hub: LocalHub
) -> None:
    sums = (made / "SHA256SUMS").read_text()
    local_hub.clear_log()
    assert release("models") == 0
    assert release("manifest") == 0
    assert (made / "SHA256SUMS").read_text() == sums
    assert not [asked for asked in local_hub.requests if asked.host == "cdn"]


def test_a_later_commit_gives_the_entries_its_time_without_another_download(
    release: Run, made: Path, local_hub: LocalHub, project: Path
) -> None:
    commit(project, time=TIME + 86_400)
    git(project, "tag", "--force", "v1.2.3")
    local_hub.clear_log()
    assert release("models") == 0
    assert not [asked for asked in local_hub.requests if asked.host == "cdn"]
    records = [json.loads(path.read_bytes()) for path in (made / "models").glob("*.json")]
    assert {record["created_at"] for record in records} == {"2023-11-15T22:13:20+00:00"}


def test_an_entry_that_was_damaged_between_two_runs_is_made_again(release: Run, made: Path) -> None:
    sums = (made / "SHA256SUMS").read_text()
    weights = next((made / "entries").rglob("weights.safetensors"))
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(damaged)  # the asset is the same file by another name
    assert release("manifest") == 1
    assert release("models") == 0
    assert release("manifest") == 0
    assert (made / "SHA256SUMS").read_text() == sums


def test_packages_or_models_of_another_commit_are_not_released(
    release: Run, made: Path, packages: Path, project: Path, tmp_path: Path, capsys
) -> None:
    commit(project, time=TIME + 86_400)
    git(project, "tag", "--force", "v1.2.3")
    assert release("manifest") == 1
    assert "The packages are not of commit" in capsys.readouterr().err
    shutil.rmtree(packages)
    write_packages(packages, time=TIME + 86_400)
    assert release("manifest") == 1
    assert "the time is 2023-11-14T22:13:20+00:00" in capsys.readouterr().err
    assert release("models") == 0
    assert release("manifest") == 0


@pytest.mark.parametrize("name", ["v2-vitl.tar", "notes.html", "weights.pth"])
def test_what_no_step_has_made_is_not_swept_along(release: Run, made: Path, name: str, capsys) -> None:
    (made / "models" / name).write_bytes(b"smuggled")
    assert release("manifest") == 1
    assert f"holds what no step has made: {name}" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".md", ".tar", ".json", ".safetensors"])
def test_what_is_missing_is_named(release: Run, made: Path, suffix: str, capsys) -> None:
    gone = next(path for path in (made / "models").iterdir() if path.suffix == suffix)
    gone.unlink()
    assert release("manifest") == 1
    assert gone.name in capsys.readouterr().err


def test_a_record_of_another_entry_is_found_out(release: Run, made: Path, capsys) -> None:
    one, two = (made / "models").glob("*.json")
    shutil.copy(one, two)
    assert release("manifest") == 1
    assert "its key is" in capsys.readouterr().err


def test_a_bundle_is_imported_on_a_machine_without_a_network_and_its_name_works(
    made: Path, local_hub: LocalHub, tmp_path: Path
) -> None:
    from depthhub import from_pretrained
    from depthhub.bundles import import_entries
    from depthhub_cache.store import Store

    for name in ("demo-one", "demo-two"):
        import_entries(Store(tmp_path / "air-gapped"), made / "models" / f"{name}.tar")
        model = from_pretrained(name, cache_dir=tmp_path / "air-gapped", offline=True)
        assert model.provenance.licence == "apache-2.0"
        with tarfile.open(made / "models" / f"{name}.tar") as bundle:
            assert sum(member.name.endswith(".safetensors") for member in bundle) == 1


def test_the_environment_of_the_machine_has_no_say_in_what_is_made(
    release: Run, catalog: Path, packages: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHHUB_REMOTE", str(tmp_path / "somebody-elses-store"))
    monkeypatch.setenv("DEPTHHUB_LOCKFILE", str(tmp_path / "no-such-file.lock"))
    monkeypatch.setenv("DEPTHHUB_ALLOW_LICENSES", "cc-by-nc-4.0")
    monkeypatch.setenv("DEPTHHUB_MAX_SIZE", "1")
    assert release("models") == 0
    assert os.environ["DEPTHHUB_ALLOW_LICENSES"] == "cc-by-nc-4.0"


def test_a_name_that_fits_nothing_redistributable_is_an_error(project: Path, catalog: Path, out: Path, capsys) -> None:
    from releasing.__main__ import main

    options = ["--dry-run", "--repository", "me/depthhub", "--out", str(out), "--only", "demo-closed", "--only", "x*"]
    assert main(["models", *options], root=project) == 1
    assert "No model that may be redistributed is called demo-closed or x*." in capsys.readouterr().err


def test_a_download_that_breaks_off_leaves_what_was_made_and_the_next_run_goes_on(
    release: Run, catalog: Path, packages: Path, out: Path, local_hub: LocalHub, checkpoints: dict[str, Path]
) -> None:
    local_hub.inject(Fault.status(404), path="two", times=None)
    assert release("models") == 1
    local_hub.heal()
    local_hub.clear_log()
    assert release("models") == 0
    fetched = [asked.path for asked in local_hub.requests if asked.host == "cdn" and asked.method == "GET"]
    assert fetched
    assert not [path for path in fetched if "authors/one" in path]


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def _move(catalog: Path, name: str, revision: str) -> None:
    """Let the catalog suggest another commit."""
    text = json.loads(catalog.read_text())
    next(model for model in text["checkpoints"] if model["name"] == name)["revision"] = revision
    catalog.write_text(json.dumps(text))
