"""`cache export` and `cache import`: what a machine with a network packs, one without it loads."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import signal
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from depthhub import OfflineError, from_pretrained
from depthhub.testing import LocalHub, reference_image
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.store import Store

from ..cache.children import in_a_child, needs_fork

on_loopback = pytest.mark.allow_hosts(["127.0.0.1"])
V2 = ("--family", "v2")
ANSWER = {"filename": "x.pth", "commit": "0" * 40, "content_hash": "0" * 64, "git_sha1": None, "size": 1}
ANSWER |= {"remembered_at": "2025-01-01T00:00:00+00:00"}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """The empty cache of another machine."""
    return tmp_path / "elsewhere" / "cache"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "models.tar"


@pytest.fixture
def key(depthhub, tiny) -> str:
    """Of `tiny` from its file, as V2: what is in the cache."""
    (pulled,) = depthhub("pull", tiny, *V2, "--json").json
    return pulled["key"]


def depth_of(source: str, cache: Path) -> np.ndarray:
    model = from_pretrained(source, family="v2", cache_dir=cache, offline=True)
    with torch.inference_mode():
        return model(torch.from_numpy(reference_image(28, 42))).numpy()


def names_in(path: Path) -> list[str]:
    with tarfile.open(path, "r:") as archive:
        return archive.getnames()


@on_loopback
def test_a_repository_travels_with_what_the_hub_said_of_it(
    depthhub, local_hub: LocalHub, tiny, cache, elsewhere, out, monkeypatch, tmp_path
) -> None:
    local_hub.add_file("me/forest", "tiny.pth", tiny)
    assert depthhub("pull", "me/forest@main", *V2).code == 0
    here = depth_of("me/forest@main", cache)
    exported = depthhub("cache", "export", "me/forest@main", *V2, "-o", out, "--json").json
    # under the name that was asked for, and under the file's own
    assert [ref.partition("me/forest/")[2] for ref in sorted(exported["refs"])] == ["@main", "tiny.pth@main"]
    local_hub.close()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing"))
    with pytest.raises(OfflineError):
        depth_of("me/forest@main", elsewhere)
    imported = depthhub("cache", "import", out, "--cache-dir", elsewhere, "--json").json
    assert [(entry["state"], entry["key"]) for entry in imported["entries"]] == [
        ("imported", exported["entries"][0]["key"])
    ]
    assert sorted(imported["refs"]) == sorted(exported["refs"])
    assert np.array_equal(depth_of("me/forest@main", elsewhere), here)
    assert np.array_equal(depth_of("me/forest/tiny.pth", elsewhere), here)
    monkeypatch.delenv("HF_ENDPOINT")
    with pytest.raises(OfflineError, match="It is known as of HF_ENDPOINT=http://127"):
        depth_of("me/forest@main", elsewhere)
    assert depthhub("verify", "--deep", "--cache-dir", elsewhere).code == 0


@on_loopback
def test_a_name_of_the_catalog_needs_no_answer_to_travel(
    depthhub, local_hub: LocalHub, tiny, named, cache, elsewhere, out
) -> None:
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    assert depthhub("pull", named).code == 0
    here = depth_of(named, cache)
    assert depthhub("cache", "export", named, "-o", out, "--json").json["refs"] == []
    local_hub.close()
    assert depthhub("cache", "import", out, "--cache-dir", elsewhere).code == 0
    assert np.array_equal(depth_of(named, elsewhere), here)
    assert depthhub("path", named, "--cache-dir", elsewhere).out.startswith(str(elsewhere))


@on_loopback
def test_answers_about_other_models_and_about_files_of_this_machine_stay_here(
    depthhub, local_hub: LocalHub, tiny, key, cache, out, tmp_path
) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(tiny.read_bytes() + b"\0")
    local_hub.add_file("me/other", "other.pth", other)
    depthhub("info", "me/other", *V2)
    store = Store(cache)
    store.remember(f"file:{tiny}", {"content_hash": store.get(key).record.about["content_hash"]})
    assert {name.partition(":")[0] for name, _ in store.refs()} == {"hub", "file"}
    exported = depthhub("cache", "export", key[:12], "-o", out, "--json").json
    assert exported["refs"] == []
    assert [Path(name).parent.name for name in names_in(out)] == ["", key, key]


def test_the_digest_that_is_printed_is_that_of_the_file_and_always_the_same(depthhub, tiny, key, out, tmp_path) -> None:
    first = depthhub("cache", "export", tiny, *V2, "-o", out)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert first.code == 0
    facts = dict(line.split(maxsplit=1) for line in first.out.splitlines())
    assert (facts["path"], facts["sha256"]) == (str(out), digest)
    assert facts["entries"] == str(tiny)
    assert "Compare the sha256" in first.err
    again = tmp_path / "again.tar"
    exported = depthhub("cache", "export", "--all", "-o", again, "--json").json
    assert (exported["sha256"], exported["size"]) == (digest, out.stat().st_size)
    assert exported["entries"][0]["key"] == key
    assert again.read_bytes() == out.read_bytes()
    assert sorted(out.parent.iterdir()) == [out]


def test_import_says_what_became_of_each_entry(depthhub, key, elsewhere, out) -> None:
    depthhub("cache", "export", key, "-o", out)
    first = depthhub("cache", "import", out, "--cache-dir", elsewhere)
    assert first.out.splitlines()[1].split()[1:] == ["imported", "8.48", "MB", "unknown", key[:12]]
    assert "models.tar: importing" in first.err
    assert "1 imported, 0 were there already" in first.err
    second = depthhub("cache", "import", out, "--cache-dir", elsewhere)
    assert (second.code, second.out.splitlines()[1].split()[1]) == (0, "kept")
    assert "0 imported, 1 were there already" in second.err


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["export", "-o", "x.tar"], 2, "--all"),
        (["export", "vits", "--all", "-o", "x.tar"], 2, "--all"),
        (["export", "vits"], 2, "--out"),
        (["export", "vits", "-o", ""], 2, "empty"),
        (["export", "vits", "-o", "x.tar.gz"], 2, ".tar"),
        (["export", "vits", "-o", "a:b.tar"], 2, "a:b.tar"),
        (["export", "vits", "-o", "x.tar"], 3, "pull vits"),
        (["export", "0123456789ab", "-o", "x.tar"], 3, "No key"),
        (["export", "--all", "-o", "x.tar"], 3, "empty"),
        (["import"], 2, "FILE.tar"),
        (["import", "x.tar"], 3, "x.tar"),
        (["import", "."], 8, "error"),
    ],
)
def test_what_cannot_be_is_said(depthhub, tmp_path, monkeypatch, argv, code, said) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = depthhub("cache", *argv)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_replaced_only_by_force(depthhub, key, out) -> None:
    out.parent.mkdir()
    out.write_text("mine")
    assert depthhub("cache", "export", key, "-o", out).code == 2
    assert out.read_text() == "mine"
    assert depthhub("cache", "export", key, "-o", out, "--force").code == 0
    assert out.stat().st_size > 1000
    assert depthhub("cache", "export", key, "-o", out.parent, "--force").code == 2


def test_a_damaged_entry_is_not_exported_and_no_half_file_stays(depthhub, key, cache, out) -> None:
    (weights,) = cache.rglob("weights.safetensors")
    data = bytearray(weights.read_bytes())
    data[-1000] ^= 1
    weights.write_bytes(data)
    outcome = depthhub("cache", "export", key, "-o", out)
    assert outcome.code == 6
    assert str(weights.parent) in outcome.err
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_an_output_that_cannot_be_written(depthhub, key, tmp_path) -> None:
    (tmp_path / "file").touch()
    assert depthhub("cache", "export", key, "-o", tmp_path / "file" / "x.tar").code == 8


def test_a_bundle_that_was_tampered_with_is_code_6_and_leaves_nothing(depthhub, key, elsewhere, out) -> None:
    depthhub("cache", "export", key, "-o", out)
    data = bytearray(out.read_bytes())
    data[-5000] ^= 1
    out.write_bytes(data)
    outcome = depthhub("cache", "import", out, "--cache-dir", elsewhere, "--json")
    error = outcome.json["error"]
    assert (outcome.code, error["type"], error["exit_code"]) == (6, "BundleError", 6)
    assert (error["path"], error["member"]) == (str(out), f"entries/{key}/weights.safetensors")
    assert not list(elsewhere.rglob("weights.safetensors"))
    assert json.loads(depthhub("cache", "list", "--cache-dir", elsewhere, "--json").out) == []


def test_a_compressed_bundle_is_refused_with_the_next_step(depthhub, key, elsewhere, out) -> None:
    depthhub("cache", "export", key, "-o", out)
    out.write_bytes(gzip.compress(out.read_bytes(), 1))
    outcome = depthhub("cache", "import", out, "--cache-dir", elsewhere)
    assert outcome.code == 6
    assert "decompress it first" in outcome.err
    assert not elsewhere.exists()


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("file:/home/me/model.pth", {}, "no answer of the Hub"),
        ("hub:model/me/forest/@main", {"content_hash": "0" * 64}, "not understood"),
        (
            "hub:model/me/forest/@main",
            ANSWER,
            "none of the bundle's",
        ),
        *(
            ("hub:model/me/forest/@main", {**ANSWER, **wrong}, "not understood")
            for wrong in (
                {"remembered_at": "yesterday"},
                {"filename": ["x.pth"]},
                {"filename": "../../x.pth"},
                {"commit": {"a": 1}},
                {"size": "1"},
                {"content_hash": ["0" * 64]},
            )
        ),
        ("hub:model/me/forest/@main", {**ANSWER, "size": 10**400}, "its size"),
        ("hub:model/me/forest/@main", {**ANSWER, "size": -1}, "its size"),
    ],
)
def test_an_answer_that_export_would_not_have_packed_is_refused(
    depthhub, key, cache, elsewhere, out, name, answer, said
) -> None:
    """A forged bundle cannot change what a file of this machine, or a model that is not in it, means here."""
    data = io.BytesIO()
    export_bundle(Store(cache), [key], {name: answer}, data.write)
    out.parent.mkdir()
    out.write_bytes(data.getvalue())
    outcome = depthhub("cache", "import", out, "--cache-dir", elsewhere)
    assert outcome.code == 6
    assert said in outcome.err
    assert list(Store(elsewhere).refs()) == []


def test_neither_way_imports_torch_or_the_hubs_client(shell, depthhub, key, elsewhere, out) -> None:
    for argv in (["export", key, "-o", str(out), "-q"], ["import", str(out), "--cache-dir", str(elsewhere), "-q"]):
        code = (
            f"import sys; from depthhub.cli import main; code = main(['cache', *{argv!r}]);"
            "heavy = {'torch', 'huggingface_hub', 'safetensors', 'numpy'} & set(sys.modules);"
            "sys.exit(f'imported: {heavy}' if heavy else code)"
        )
        result = shell("-c", code)
        assert result.returncode == 0, result.stderr


# the file that is written


def test_a_file_that_appears_while_a_bundle_is_written_stays_as_it_is(depthhub, key, out, monkeypatch) -> None:
    def slowly(*args, **options):
        summary = export_bundle(*args, **options)
        out.write_text("mine")
        return summary

    monkeypatch.setattr("depthhub.bundles.export_bundle", slowly)
    outcome = depthhub("cache", "export", key, "-o", out)
    assert (outcome.code, out.read_text()) == (2, "mine")
    assert "is there already; --force replaces it" in outcome.err
    assert list(out.parent.iterdir()) == [out]
    assert depthhub("cache", "export", key, "-o", out, "--force").code == 0
    assert len(names_in(out)) > 1


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_what_a_killed_export_left_goes_with_the_next_one(shell, depthhub, key, out) -> None:
    code = (
        "import os, signal, depthhub.bundles as bundles; from depthhub.cli import main\n"
        "def killed(store, keys, refs, write, **_): write(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"bundles.export_bundle = killed; main(['cache', 'export', {key!r}, '-o', {str(out)!r}])"
    )
    assert shell("-c", code).returncode == -signal.SIGKILL
    [left] = out.parent.iterdir()
    assert depthhub("cache", "export", key, "-o", out).code == 0
    assert list(out.parent.iterdir()) == [out] != [left]


@needs_fork
def test_an_output_folder_that_is_hidden_is_code_8(depthhub, key, cache, open_folder) -> None:
    shutil.copytree(cache, open_folder / "cache")
    (open_folder / "hidden").mkdir(mode=0o700)
    argv = ("cache", "export", key, "--cache-dir", open_folder / "cache", "-o", open_folder / "hidden" / "x.tar")
    outcome = in_a_child(lambda: depthhub(*argv), as_nobody=True)
    assert (outcome.code, outcome.out) == (8, "")
    assert "Permission denied" in outcome.err or "permission denied" in outcome.err


def test_one_answer_is_one_answer(depthhub, key, cache, elsewhere, out) -> None:
    content_hash = Store(cache).get(key).record.about["content_hash"]
    Store(cache).remember("hub:model/me/forest/@main", {**ANSWER, "content_hash": content_hash})
    depthhub("cache", "export", key, "-o", out)
    assert "1 answer of the Hub remembered." in depthhub("cache", "import", out, "--cache-dir", elsewhere).err
    assert "0 answers of the Hub remembered." in depthhub("cache", "import", out, "--cache-dir", elsewhere).err


def test_what_is_not_as_it_is_locked_is_not_exported(depthhub, key, cache, out, tmp_path, monkeypatch) -> None:
    """As of a shared tier that others fill."""
    made = Store(cache).get(key).record
    model = {"source": f"hf://me/repo@{'a' * 40}/t.pth", "name": None, "repo_id": "me/repo", "repo_type": "model"}
    model |= {
        "family": None,
        "max_depth": None,
        "commit": "a" * 40,
        "filename": "t.pth",
        "sha256": made.about["content_hash"],
        "size": 1,
        "licence": None,
    }
    model |= {"recipe": made.about["recipe"], "key": key, "weights_sha256": "0" * 64, "weights_size": 1}
    lockfile = tmp_path / "depthhub.lock"
    monkeypatch.setenv("DEPTHHUB_LOCKFILE", str(lockfile))
    for weights_sha256, code in (("0" * 64, 6), (made.weights_sha256, 0)):
        lockfile.write_text(json.dumps({"lockfile": 1, "models": [{**model, "weights_sha256": weights_sha256}]}))
        run = depthhub("cache", "export", key, "-o", out)
        assert (run.code, out.exists()) == (code, code == 0), run.err
        assert ("`depthhub pull --locked` makes them here" in run.err) == (code == 6)
