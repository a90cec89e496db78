"""A bundle brings over exactly the entries that were packed, in bounded memory, whatever interrupts it."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
import tracemalloc
from typing import Any

import pytest

from depthhub_cache.bundles.manifest import FILE_NAME, Manifest
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.entry import Entry
from depthhub_cache.errors import BrokenEntryError, BundleError, CacheError, NoSpaceError
from depthhub_cache.refs import ref_path
from depthhub_cache.sealed import seal, unseal
from depthhub_cache.store import Store

from ..children import killed_in_a_child, needs_fork
from ..conftest import Mount
from ..samples import files_under, hash_of, key_of, memory_folder, publish, weights_of
from .archives import (
    ANSWER,
    FIRST,
    NAMES,
    PATH,
    REF,
    SECOND,
    archive_of,
    assert_clean,
    flipped,
    forged,
    members_of,
    packed,
    states,
    unpacked,
)


def test_entries_and_refs_arrive_as_they_were(full: Store, bundle: bytes, other: Store) -> None:
    report = unpacked(other, bundle)
    assert states(report) == ["imported", "imported"]
    assert report.refs == (REF,)
    assert_clean(other, holds=[FIRST, SECOND])
    for key in (FIRST, SECOND):
        for name in ("entry.json", "weights.safetensors"):
            there, here = (store.get(key).path / name for store in (full, other))  # type: ignore[union-attr]
            assert there.read_bytes() == here.read_bytes()
    assert other.recall(REF) == ANSWER


def test_the_same_entries_and_refs_are_the_same_bytes(full: Store, bundle: bytes, other: Store) -> None:
    assert packed(full, "vitl", "vits") == packed(full, "vits", "vitl", "vits") == bundle
    other.remember("file:elsewhere", {})
    other.forget("file:elsewhere")
    unpacked(other, bundle)
    assert packed(other) == bundle
    assert packed(full, "vits") != bundle


def test_a_bundle_is_an_archive_that_tells_what_is_in_it(bundle: bytes) -> None:
    members = members_of(bundle)
    assert list(members) == [
        FILE_NAME,
        f"entries/{FIRST}/entry.json",
        f"entries/{FIRST}/weights.safetensors",
        f"entries/{SECOND}/entry.json",
        f"entries/{SECOND}/weights.safetensors",
        f"refs/{hashlib.sha256(REF.encode()).hexdigest()}.json",
    ]
    manifest = json.loads(members[FILE_NAME])
    assert manifest["entries"][0]["weights.safetensors"]["sha256"] == hash_of(members[list(members)[2]])
    assert Manifest.parse(members[FILE_NAME]).archive_size() == len(bundle)
    assert archive_of(forged(members)) == bundle  # so what the tests below forge differs in what they change alone


def test_a_bundle_may_hold_a_part_of_the_cache_or_nothing(full: Store, other: Store) -> None:
    assert unpacked(other, archive_of({FILE_NAME: Manifest([], []).to_bytes()})).entries == ()
    unpacked(other, packed(full, "vits"))
    assert_clean(other, holds=[key_of("vits")])


def test_what_is_there_and_sound_is_kept_and_verified_all_the_same(bundle: bytes, other: Store) -> None:
    unpacked(other, bundle)
    before = files_under(other.root)
    report = unpacked(other, bundle)
    assert states(report) == ["kept", "kept"]
    assert report.refs == ()
    assert files_under(other.root) == before
    place = bundle.index(weights_of(NAMES[0]))
    with pytest.raises(BundleError, match="sha256"):
        unpacked(other, flipped(bundle, place))
    assert_clean(other, holds=[FIRST, SECOND])


def test_an_entry_with_other_bytes_stays_and_a_warning_says_so(
    bundle: bytes, other: Store, caplog: pytest.LogCaptureFixture
) -> None:
    publish(other, "vits", data=weights_of("made by others"))
    with caplog.at_level(logging.WARNING):
        assert sorted(states(unpacked(other, bundle))) == ["imported", "kept"]
    assert "other bytes" in caplog.text
    assert other.get(key_of("vits")).weights.read_bytes() == weights_of("made by others")  # type: ignore[union-attr]


@pytest.mark.parametrize("damage", ["record", "size", "a bit of the numbers"])
def test_a_broken_entry_is_replaced_and_set_aside(bundle: bytes, other: Store, damage: str) -> None:
    entry = publish(other, "vits")
    data = entry.weights.read_bytes()
    if damage == "record":
        (entry.path / "entry.json").write_bytes(b"{}")
    else:
        entry.weights.write_bytes(data[:-1] if damage == "size" else flipped(data, len(data) - 1))
    assert sorted(states(unpacked(other, bundle))) == ["imported", "replaced"]
    for key in (FIRST, SECOND):
        other.verify(key, deep=True)
    assert len(list((other.root / "v1" / "quarantine").iterdir())) == 1


def test_a_sound_entry_of_a_tier_below_is_kept_and_a_broken_one_is_made_up_for(full: Store, other: Store) -> None:
    bundle = packed(full)
    tiered = Store(other.root, below=[full.root])
    assert states(unpacked(tiered, bundle)) == ["kept", "kept"]
    assert list(other.keys()) == []
    weights = full.get(FIRST).weights  # type: ignore[union-attr]
    weights.write_bytes(flipped(weights.read_bytes(), -1))
    assert states(unpacked(tiered, bundle)) == ["imported", "kept"]
    tiered.verify(tiered.get(FIRST), deep=True)  # type: ignore[arg-type]
    assert list(other.keys()) == [FIRST]


def test_a_ref_that_is_known_here_stays_as_it_is(bundle: bytes, other: Store) -> None:
    other.remember(REF, {"content_hash": "mine"})
    assert unpacked(other, bundle).refs == ()
    assert other.recall(REF) == {"content_hash": "mine"}


def test_an_answer_that_may_be_older_than_one_that_was_damaged_is_not_remembered_and_that_is_said(
    bundle: bytes, other: Store, caplog: pytest.LogCaptureFixture
) -> None:
    other.remember(REF, {"content_hash": "2" * 64})
    ref_path(other.root / "v1" / "refs", REF).write_bytes(b"damaged")
    assert unpacked(other, bundle).refs == ()
    assert f"{REF}: the answer of the bundle is not remembered" in caplog.text


def test_the_caller_judges_refs_with_the_records_beside_them(bundle: bytes, other: Store) -> None:
    def problem(name: str, data: Any, records: Any) -> str | None:
        assert (name, data) == (REF, ANSWER)
        return f"it does not please {[record.key for record in records] == [FIRST, SECOND]}"

    with pytest.raises(BundleError, match="does not please True"):
        unpacked(other, bundle, ref_problem=problem)
    assert other.recall(REF) is None
    assert_clean(other, holds=[FIRST, SECOND])
    assert unpacked(other, bundle, ref_problem=lambda *_: None).refs == (REF,)


def test_a_damaged_entry_is_not_exported(full: Store) -> None:
    entry = full.get(SECOND)
    assert entry is not None
    entry.weights.write_bytes(flipped(entry.weights.read_bytes(), -1))
    out = io.BytesIO()
    with pytest.raises(BrokenEntryError, match="sha256") as caught:
        export_bundle(full, full.keys(), {}, out.write)
    assert caught.value.path == entry.path
    entry.weights.unlink()
    with pytest.raises(BrokenEntryError, match="missing"):
        export_bundle(full, full.keys(), {}, out.write)
    full.remove(SECOND)
    with pytest.raises(BrokenEntryError, match="not there"):
        export_bundle(full, [FIRST, SECOND], {}, out.write)


def test_weights_that_grow_or_shrink_while_they_are_read_are_not_exported(full: Store) -> None:
    entry = full.get(FIRST)
    assert entry is not None
    data = entry.weights.read_bytes()
    for changed in (data + b"x", data[:-1]):
        entry.weights.write_bytes(data)

        def change(_: bytes, changed: bytes = changed) -> None:
            entry.weights.write_bytes(changed)

        with pytest.raises(BrokenEntryError):
            export_bundle(full, [FIRST], {}, change)


def test_the_caller_judges_the_very_entries_that_are_packed(full: Store) -> None:
    """And not those that had their names before."""
    seen, written = list[Entry](), list[bytes]()

    def refuse(entry: Entry) -> None:
        seen.append(entry)
        if entry.key == max(map(key_of, NAMES)):
            raise ValueError("not the locked one")

    with pytest.raises(ValueError, match="not the locked one"):
        export_bundle(full, map(key_of, NAMES), {}, written.append, check=refuse)
    assert [full.get(entry.key) for entry in seen] == seen
    assert (len(seen), written) == (len(NAMES), [])


def test_only_files_of_numbers_travel(store: Store) -> None:
    with store.stage() as staging:
        with staging.file("weights.bin") as staged:
            staged.write(b"anything")
        store.publish(FIRST, staging, weights="weights.bin", about={})
    with pytest.raises(CacheError, match=r"weights\.bin"):
        export_bundle(store, [FIRST], {}, io.BytesIO().write)


BIG = 24 << 20


def test_memory_does_not_grow_with_the_weights_and_the_disk_holds_no_second_copy(store: Store, other: Store) -> None:
    publish(store, "vits", data=weights_of("vits", size=BIG))
    peaks, most = [], 0

    def watch(done: int, total: int) -> None:
        nonlocal most
        most = max(most, sum(files_under(other.root).values()))

    with tempfile.TemporaryFile(dir=memory_folder()) as file:
        for work in (
            lambda: export_bundle(store, store.keys(), {}, file.write),
            lambda: file.seek(0),
            lambda: import_bundle(other, file, PATH, progress=watch),
        ):
            tracemalloc.start()
            work()
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert max(peaks) < BIG / 4
    assert BIG < most < 1.1 * BIG
    assert_clean(other, holds=[key_of("vits")])


def test_progress_counts_the_bytes_of_the_archive(full: Store, other: Store) -> None:
    told: list[tuple[int, int]] = []
    out = io.BytesIO()
    export_bundle(full, full.keys(), {}, out.write, progress=lambda *step: told.append(step))
    size = len(out.getvalue())
    assert told[-1] == (size, size)
    assert told == sorted(told)
    told.clear()
    unpacked(other, out.getvalue(), progress=lambda *step: told.append(step))
    assert told == sorted(told)
    assert {total for _, total in told} == {size}


def test_who_cancels_an_import_keeps_the_entries_that_were_finished(bundle: bytes, other: Store) -> None:
    place = bundle.index(other_weights := weights_of(next(name for name in NAMES if key_of(name) == SECOND)))

    def cancel(done: int, total: int) -> None:
        if done >= place + len(other_weights):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpacked(other, bundle, progress=cancel)
    assert_clean(other, holds=[FIRST])


@needs_fork
def test_killed_at_any_line_an_import_leaves_whole_entries_and_rubbish_that_is_swept(
    bundle: bytes, other: Store
) -> None:
    seen = set()
    for line in range(1, 20_000, 31):
        killed = killed_in_a_child(lambda: unpacked(other, bundle), at_line=line)
        other.sweep()
        assert_clean(other)
        seen.add(len(list(other.keys())))
        if not killed:
            break
        for key in list(other.keys()):
            other.remove(key)
    assert seen == {0, 1, 2}


def test_space_is_asked_for_before_anything_is_done(store: Store, mount: Mount) -> None:
    publish(store, "vits", data=weights_of("vits", size=1 << 20))
    target = Store(mount("size=256k") / "cache")
    with pytest.raises(NoSpaceError):
        unpacked(target, packed(store))
    assert files_under(target.root) == {}


def test_a_size_that_the_manifest_lies_about_costs_nothing(bundle: bytes, other: Store) -> None:
    members = members_of(bundle)
    facts = unseal(members[FILE_NAME], limit=1 << 20)
    facts["entries"][0]["weights.safetensors"]["size"] = 8**11 - 1
    with pytest.raises(BundleError, match="its size"):
        unpacked(other, archive_of({**members, FILE_NAME: seal(facts)}))
    assert not other.root.exists()


# bundles that are not what was exported
