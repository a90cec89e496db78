"""Whatever is wrong in a remote store never becomes a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from depthhub import IntegrityError, from_pretrained, lock, prewarm
from depthhub.testing import LocalHub, make_checkpoint
from depthhub_cache.record import Record
from depthhub_cache.remote import RemoteStore
from depthhub_cache.store import Entry, Store

from .shelves import FILE, NAME, hub_paths, warmed

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def forged(
    tmp_path: Path, filled: Entry, *, weights: bytes | None = None, about: dict[str, object] | None = None
) -> Entry:
    """An entry under the key of `filled`, sealed as they all are, with other weights or other facts."""
    evil = Store(tmp_path / "evil")
    with evil.stage() as staging:
        with staging.file("weights.safetensors") as staged:
            staged.write(filled.weights.read_bytes() if weights is None else weights)
        return evil.publish(filled.key, staging, about=filled.record.about if about is None else about)


def put(shelf: Path, entry: Entry) -> None:
    for path in shelf.iterdir():
        path.unlink()
    RemoteStore(str(shelf), connect_timeout=1, stall_timeout=1, total_timeout=9).push(entry)


def other_numbers(entry: Entry) -> bytes:
    content = bytearray(entry.weights.read_bytes())
    content[-1] ^= 0xFF
    return bytes(content)


def of_another_checkpoint(entry: Entry, tmp_path: Path) -> Entry:
    other = make_checkpoint(tmp_path / "other.pth", encoder="tiny", seed=7)
    (made,) = prewarm([other], family="v2", cache_dir=tmp_path / "of another")
    found = Store(tmp_path / "of another").get(made.key)
    assert found is not None
    return found


def without(facts: object, name: str) -> dict[str, object]:
    assert isinstance(facts, dict)
    return {key: value for key, value in facts.items() if key != name}


LIES: dict[str, Callable[[Entry, Path], Entry]] = {
    "made of another checkpoint": lambda entry, tmp: forged(
        tmp, entry, about={**entry.record.about, "content_hash": "0" * 64}
    ),
    "made in another way": lambda entry, tmp: forged(
        tmp, entry, about={**entry.record.about, "recipe": {**entry.record.about["recipe"], "dtype": "float16"}}
    ),
    "a record that says too little": lambda entry, tmp: forged(tmp, entry, about=without(entry.record.about, "source")),
    "a record that says nothing": lambda entry, tmp: forged(tmp, entry, about={}),
    "a place that cannot be": lambda entry, tmp: forged(
        tmp, entry, about={**entry.record.about, "filename": "../../up"}
    ),
    "the file of another checkpoint": lambda entry, tmp: forged(
        tmp, entry, weights=of_another_checkpoint(entry, tmp).weights.read_bytes()
    ),
    "a file of another kind": lambda entry, tmp: forged(tmp, entry, weights=(2).to_bytes(8, "little") + b"{}"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_sealed_lie_is_found_out_and_the_hub_is_asked(
    lie: str,
    filled: Entry,
    shelf: Path,
    hub: LocalHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    put(shelf, LIES[lie](filled, tmp_path))
    hub.clear_log()
    made = warmed(tmp_path / "machine")
    assert made.weights.read_bytes() == filled.weights.read_bytes()
    assert made.record.about["filename"] == FILE
    assert "is not used" in caplog.text
    assert len(hub_paths(hub)) == 2
    hub.clear_log()
    monkeypatch.setenv("DEPTHHUB_HUB_FALLBACK", "0")
    with pytest.raises(IntegrityError, match="is not used"):
        warmed(tmp_path / "another")
    assert list(Store(tmp_path / "another").entries()) == []
    assert hub.requests == []


def test_a_record_that_promises_more_bytes_than_there_is_room_for_stops_nobody(
    filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    promise = Record(*filled.record._replace(weights_size=10**16))
    (shelf / f"{filled.key}.json").write_bytes(promise.to_bytes())
    assert warmed(tmp_path / "machine").weights.read_bytes() == filled.weights.read_bytes()
    assert "10,000,000,000,000,000 bytes are needed" in caplog.text


@pytest.mark.parametrize("spoil", ["weights", "record", "of another key"])
def test_a_bit_that_flipped_there_is_never_seen_here(
    spoil: str, filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path
) -> None:
    record, weights = shelf / f"{filled.key}.json", shelf / f"{filled.record.weights_sha256}.safetensors"
    if spoil == "of another key":
        other = filled.record._replace(key="0" * 64)
        record.write_bytes(Record(*other).to_bytes())
    else:
        path = weights if spoil == "weights" else record
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    made = warmed(tmp_path / "machine")
    assert made.weights.read_bytes() == filled.weights.read_bytes()
    assert len(hub_paths(hub)) == 2


def test_tensors_that_are_no_model_are_made_again_from_the_hub(
    filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path
) -> None:
    """Only a load finds that out: the header is right, and one of the names is not."""
    content = filled.weights.read_bytes()
    assert content.count(b'"patch_embed.proj.weight"') == 1
    put(
        shelf, forged(tmp_path, filled, weights=content.replace(b"patch_embed.proj.weight", b"patch_embed.proj.weighs"))
    )
    hub.clear_log()
    model = from_pretrained(NAME, cache_dir=tmp_path / "machine")
    assert Path(model.provenance.path).read_bytes() == content
    assert len(hub_paths(hub)) == 2


def test_which_numbers_they_must_be_only_a_lockfile_tells(
    filled: Entry, shelf: Path, hub: LocalHub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A record is sealed, not signed: whoever may write into the store decides. A lockfile takes that away."""
    lockfile = tmp_path / "depthhub.lock"
    lock([NAME], lockfile, cache_dir=tmp_path / "job")
    put(shelf, forged(tmp_path, filled, weights=other_numbers(filled)))
    hub.clear_log()
    assert warmed(tmp_path / "trusting").weights.read_bytes() == other_numbers(filled)
    assert hub.requests == []
    assert warmed(tmp_path / "locked", lockfile=lockfile).weights.read_bytes() == filled.weights.read_bytes()
    assert "the remote store has converted weights of sha256" in caplog.text
    assert len(hub_paths(hub)) == 2


def test_a_push_of_what_is_locked_does_not_end_well_where_the_store_has_other_numbers(
    filled: Entry, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockfile = tmp_path / "depthhub.lock"
    lock([NAME], lockfile, cache_dir=tmp_path / "job")
    put(shelf, forged(tmp_path, filled, weights=other_numbers(filled)))
    monkeypatch.setenv("DEPTHHUB_PUSH", "1")
    with pytest.raises(IntegrityError, match=f"the remote store has .* remove {filled.key}.json from there"):
        prewarm([NAME], cache_dir=tmp_path / "job", lockfile=lockfile)
    (shelf / f"{filled.key}.json").unlink()
    [made] = prewarm([NAME], cache_dir=tmp_path / "job", lockfile=lockfile)
    assert made.pushed is True
    assert warmed(tmp_path / "machine").weights.read_bytes() == filled.weights.read_bytes()


def test_what_its_record_says_of_the_licence_does_not_count(
    filled: Entry, shelf: Path, tmp_path: Path, hub: LocalHub
) -> None:
    put(shelf, forged(tmp_path, filled, about={**filled.record.about, "licence": "cc0-1.0"}))
    (made,) = prewarm([NAME], cache_dir=tmp_path / "machine")
    assert made.licence == "apache-2.0"  # the catalog's word
