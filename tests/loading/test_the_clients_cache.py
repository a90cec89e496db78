"""What the cache of the Hub's own client has is believed only where nothing better can be known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from depthhub import OfflineError, from_pretrained
from depthhub.depth_model import DepthModel
from depthhub.testing import LocalHub, make_checkpoint, transformers_config

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def test_what_the_clients_cache_has_is_believed_offline_alone(
    local_hub: LocalHub, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be old, and it does not say of which Hub it is."""
    from huggingface_hub import hf_hub_download

    def content_hash(**options: bool) -> str:
        return from_pretrained("o/r/t.pth", family="v2", **options).provenance.content_hash

    local_hub.add_file("o/r", "t.pth", tiny)
    hf_hub_download("o/r", "t.pth", endpoint=local_hub.endpoint)
    old = content_hash(offline=True)
    local_hub.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "new.pth", encoder="tiny", seed=1))
    new = content_hash()
    assert new != old
    assert content_hash(offline=True) == new
    with LocalHub() as mirror:
        mirror.add_file("o/r", "t.pth", make_checkpoint(tmp_path / "mirrored.pth", encoder="tiny", seed=2))
        monkeypatch.setenv("HF_ENDPOINT", mirror.endpoint)
        assert content_hash(offline=True) == old
        mirrored = content_hash()
        assert mirrored not in (old, new)
        assert content_hash(offline=True) == mirrored


def test_offline_what_the_clients_cache_has_now_comes_before_what_it_had(
    local_hub: LocalHub, tmp_path: Path, hub_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As on the nodes of a cluster, where another node downloads."""
    from huggingface_hub import hf_hub_download

    def offline(**options: Any) -> DepthModel:
        return from_pretrained("o/r/w.safetensors", offline=True, **options)

    files = [
        make_checkpoint(tmp_path / f"{n}.safetensors", encoder="tiny", layout="transformers", seed=n) for n in (1, 2)
    ]
    local_hub.add_file("o/r", "w.safetensors", files[0])
    hf_hub_download("o/r", "w.safetensors", endpoint=local_hub.endpoint)
    first = offline(family="v2").provenance
    assert "whether a config.json beside it says how to build it was never asked here" in caplog.text
    stages: list[str] = []
    assert offline(family="v2", progress=lambda told: stages.append(told.stage)).provenance.commit == first.commit
    assert stages == [], "nothing is read twice to be found"
    local_hub.add_file("o/r", "w.safetensors", files[1])
    config = transformers_config("tiny", family="v2-metric", max_depth=80)
    local_hub.add_file("o/r", "config.json", json.dumps(config).encode(), lfs=False)
    for name in ("w.safetensors", "config.json"):
        hf_hub_download("o/r", name, endpoint=local_hub.endpoint)
    second = offline()
    assert second.provenance.content_hash != first.content_hash
    assert second.config.max_depth == 80
    for blob in (hub_environment / "hub/models--o--r/blobs").iterdir():
        if blob.stat().st_size < 10_000:  # that of the config.json
            blob.unlink()
    assert offline().config.max_depth == 80, "what is gone was known"
    shutil.rmtree(hub_environment / "hub")
    caplog.clear()
    assert offline().provenance.commit == second.provenance.commit
    assert "which was found here once" in caplog.text


def test_a_clients_cache_that_is_not_text_is_as_if_it_were_not_there(
    local_hub: LocalHub, tiny: Path, hub_environment: Path
) -> None:
    from huggingface_hub import hf_hub_download

    local_hub.add_file("o/r", "t.pth", tiny)
    hf_hub_download("o/r", "t.pth", endpoint=local_hub.endpoint)
    (hub_environment / "hub/models--o--r/refs/main").write_bytes(b"\xff\xfe" * 20)
    with pytest.raises(OfflineError):
        from_pretrained("o/r/t.pth", family="v2", offline=True)


@pytest.mark.parametrize("of", ["commit", "config"])
def test_what_the_clients_cache_cannot_prove_is_not_remembered(
    local_hub: LocalHub, tmp_path: Path, hub_environment: Path, caplog: pytest.LogCaptureFixture, of: str
) -> None:
    from huggingface_hub import hf_hub_download

    config = json.dumps(transformers_config("tiny", family="v2-metric", max_depth=80)).encode()
    local_hub.add_file("me/repo", "config.json", config, lfs=False)
    port = make_checkpoint(tmp_path / "w.safetensors", encoder="tiny", layout="transformers")
    commit = local_hub.add_file("me/repo", "w.safetensors", port)
    for name in ("w.safetensors", "config.json"):
        path = Path(hf_hub_download("me/repo", name, endpoint=local_hub.endpoint))
    if of == "commit":
        other = "1" * 40
        (hub_environment / "hub/models--me--repo/refs" / other).write_text(commit)
        with pytest.raises(OfflineError):
            from_pretrained("me/repo/w.safetensors", revision=other, offline=True)
        return
    path.unlink()  # the link: an editor leaves a file
    for metres in (20, 30):
        path.write_bytes(config.replace(b"80", b"%d" % metres))
        assert from_pretrained("me/repo/w.safetensors", offline=True).config.max_depth == metres
        assert f"{path}: nothing tells whether it is as the Hub has it" in caplog.text
    assert from_pretrained("me/repo/w.safetensors").config.max_depth == 80
