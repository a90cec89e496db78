"""A bundle brings over exactly the entries that were packed, or an error that says what is wrong with it."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import random
import tarfile
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache.bundles.archive import ArchiveWriter
from depthhub_cache.bundles.manifest import FILE_NAME, Manifest
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import ImportReport, import_bundle
from depthhub_cache.entry import Entry
from depthhub_cache.errors import BrokenEntryError, BundleError, CacheError, NoSpaceError
from depthhub_cache.identity import ContentHash
from depthhub_cache.record import Record
from depthhub_cache.refs import ref_bytes, ref_path
from depthhub_cache.sealed import seal, unseal
from depthhub_cache.store import Store

from .children import killed_in_a_child, needs_fork
from .conftest import Mount
from .samples import files_under, hash_of, key_of, memory_folder, publish, weights_of

Members = dict[str, bytes]
PATH = Path("models.tar")
REF, ANSWER = "hub:model/me/forest/@main", {"content_hash": "0" * 64, "commit": "1" * 40}
NAMES = ("vits", "vitl")
FIRST, SECOND = sorted(map(key_of, NAMES))


@pytest.fixture
def full(store: Store) -> Store:
    """A store with two entries and a ref."""
    fill(store)
    return store


@pytest.fixture
def bundle(full: Store) -> bytes:
    return packed(full)


@pytest.fixture
def other() -> Iterator[Store]:
    """The empty store of another machine."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        yield Store(Path(folder) / "cache")


def fill(store: Store) -> None:
    for name in NAMES:
        publish(store, name)
    store.remember(REF, ANSWER)


def packed(store: Store, *names: str) -> bytes:
    out = io.BytesIO()
    keys = [key_of(name) for name in names] or store.keys()
    summary = export_bundle(store, keys, dict(store.refs()), out.write)
    assert summary.size == len(out.getvalue())
    return out.getvalue()


def unpacked(store: Store, data: bytes, **options: Any) -> ImportReport:
    return import_bundle(store, io.BytesIO(data), PATH, **options)


def states(report: ImportReport) -> list[str]:
    return [made.state for made in report.entries]


def members_of(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]


def archive_of(members: Members | list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = ArchiveWriter(out.write)
    for name, data in members.items() if isinstance(members, dict) else members:
        writer.add(name, len(data), [data])
    writer.end()
    return out.getvalue()


def forged(members: Members) -> Members:
    """`members` with a manifest that fits them: sizes and digests are those of what is there now."""
    facts = unseal(members[FILE_NAME], limit=1 << 20)
    for entry in facts["entries"]:
        for what, file in (("record", "entry.json"), ("weights.safetensors", "weights.safetensors")):
            data = members[f"entries/{entry['key']}/{file}"]
            entry[what] = {"size": len(data), "sha256": hash_of(data)}
    for ref in facts["refs"]:
        data = members[f"refs/{ref['name_sha256']}.json"]
        ref.update(size=len(data), sha256=hash_of(data))
    return {**members, FILE_NAME: seal(facts)}


def sealed_again(text: bytes) -> bytes:
    """`text` with the digest that it has now."""
    body, mark, _ = text.rpartition(b'"sha256": "')
    return body + mark + hash_of(body + mark).encode() + b'"\n}\n'


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


def assert_clean(store: Store, *, holds: list[str] | None = None) -> None:
    """Every entry is whole to the last byte; nothing half-made is anywhere. holds: its keys, if they are known."""
    keys = list(store.keys())
    assert holds is None or keys == holds
    for key in keys:
        store.verify(key, deep=True)
    assert files_under(store.root / "v1" / "tmp") == {}
    assert not (store.root / "v1" / "quarantine").exists()


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


def test_cut_anywhere_it_is_refused_as_a_whole(bundle: bytes, other: Store) -> None:
    chance = random.Random(3)
    for size in {*range(0, len(bundle), 512), *(chance.randrange(len(bundle)) for _ in range(100)), len(bundle) - 1}:
        with pytest.raises(BundleError):
            unpacked(other, bundle[:size])
    assert not other.root.exists()


def test_cut_in_a_pipe_it_leaves_what_came_before_whole(bundle: bytes, other: Store) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    seen = set()
    for size in range(0, len(bundle), 512):
        with pytest.raises(BundleError, match="too early"):
            import_bundle(other, Pipe(bundle[:size]), PATH)
        assert_clean(other)
        seen.add(len(list(other.keys())))
    assert seen == {0, 1, 2}


def test_with_a_bit_flipped_in_any_byte_it_is_refused(store: Store, other: Store) -> None:
    publish(store, "vits")
    store.remember(REF, ANSWER)
    bundle = packed(store)
    for place in range(len(bundle)):
        with pytest.raises(BundleError):
            unpacked(other, flipped(bundle, place, place % 8))
        if place % 512 == 0:
            assert_clean(other)
        assert other.recall(REF) in (None, ANSWER)
    assert_clean(other)


def _changed_record(members: Members, **facts: Any) -> Members:
    name = f"entries/{SECOND}/entry.json"
    return forged({**members, name: Record.parse(members[name])._replace(**facts).to_bytes()})


def _with_about(members: Members, about: bytes) -> Members:
    """A record whose `about` is this text, all digests to match."""
    head, _, rest = members[SECOND_RECORD].partition(b'"about": {')
    return forged({**members, SECOND_RECORD: sealed_again(head + b'"about": {' + about + b"," + rest)})


def _with_data(members: Members, data: bytes) -> Members:
    name = _second_ref(members)
    head, _, rest = members[name].partition(b'"data": {')
    return forged({**members, name: sealed_again(head + b'"data": {' + data + b"," + rest)})


def _without(members: Members, *starts: str) -> Members:
    return {name: data for name, data in members.items() if not name.startswith(starts)}


def _swapped(members: Members) -> Members:
    names = list(members)
    return {name: members[name] for name in [names[0], *names[3:5], *names[1:3], *names[5:]]}


def _changed_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Members], Members]:
    def make(members: Members) -> Members:
        facts = unseal(members[FILE_NAME], limit=1 << 20)
        change(facts)
        return {**members, FILE_NAME: seal(facts)}

    return make


def _second_ref(members: Members) -> str:
    return next(name for name in members if name.startswith("refs/"))


_NEST = b"[" * 400 + b"]" * 400
_ABYSS = b"[" * 200_000 + b"]" * 200_000
SECOND_RECORD, SECOND_WEIGHTS = f"entries/{SECOND}/entry.json", f"entries/{SECOND}/weights.safetensors"
TAMPERED: dict[str, tuple[Callable[[Members], Members], str]] = {
    "weights": (lambda m: {**m, SECOND_WEIGHTS: flipped(m[SECOND_WEIGHTS], -1)}, SECOND_WEIGHTS),
    "weights, and the manifest with them": (
        lambda m: forged({**m, SECOND_WEIGHTS: flipped(m[SECOND_WEIGHTS], -1)}),
        SECOND_RECORD,
    ),
    "weights that are longer": (lambda m: {**m, SECOND_WEIGHTS: m[SECOND_WEIGHTS] + b"\0"}, SECOND_WEIGHTS),
    "weights that are shorter": (lambda m: {**m, SECOND_WEIGHTS: m[SECOND_WEIGHTS][:-1]}, SECOND_WEIGHTS),
    "weights that are nothing": (lambda m: {**m, SECOND_WEIGHTS: b""}, "its size"),
    "weights that are no safetensors, with all digests": (
        lambda m: _changed_record(
            {**m, SECOND_WEIGHTS: b"\x80\x02pickle"},
            weights_size=8,
            weights_sha256=hash_of(b"\x80\x02pickle"),
            header_sha256=None,
        ),
        SECOND_WEIGHTS,
    ),
    "record": (
        lambda m: {**m, SECOND_RECORD: m[SECOND_RECORD].replace(b"vit", b"VIT", 1)},
        SECOND_RECORD,
    ),
    "record, sealed anew": (
        lambda m: {**m, SECOND_RECORD: Record.parse(m[SECOND_RECORD])._replace(about={"name": "VITX"}).to_bytes()},
        SECOND_RECORD,
    ),
    "record that is no record": (lambda m: forged({**m, SECOND_RECORD: b"{}\n"}), SECOND_RECORD),
    "record with a number beyond all": (lambda m: _with_about(m, b'"x": 1e999'), SECOND_RECORD),
    "record with no number": (lambda m: _with_about(m, b'"x": NaN'), SECOND_RECORD),
    "record that is nested deeply": (lambda m: _with_about(m, b'"x": ' + _NEST), SECOND_RECORD),
    "record that is nested as deep as it can be": (lambda m: _with_about(m, b'"x": ' + _ABYSS), SECOND_RECORD),
    "record in other words": (lambda m: _with_about(m, b'"x":1'), SECOND_RECORD),
    "record that would be written larger than it is read": (
        lambda m: _with_about(m, b'"x":[' + b"1," * 400_000 + b"1]"),
        SECOND_RECORD,
    ),
    "record of another entry": (lambda m: _changed_record(m, key=FIRST), SECOND_RECORD),
    "record with a name that leads elsewhere": (
        lambda m: forged(
            {**m, SECOND_RECORD: seal({**unseal(m[SECOND_RECORD], limit=1 << 20), "weights": "../../evil"})}
        ),
        SECOND_RECORD,
    ),
    "record with another name": (lambda m: _changed_record(m, weights="evil.safetensors"), SECOND_RECORD),
    "record in place of the weights": (lambda m: _changed_record(m, weights="entry.json"), SECOND_RECORD),
    "record without the header's digest": (lambda m: _changed_record(m, header_sha256=None), SECOND_WEIGHTS),
    "record with another header": (
        lambda m: _changed_record(m, header_sha256=ContentHash("0" * 64)),
        SECOND_WEIGHTS,
    ),
    "manifest": (lambda m: {**m, FILE_NAME: flipped(m[FILE_NAME], 30)}, FILE_NAME),
    "manifest of another form": (_changed_manifest(lambda f: f.update(schema=2)), FILE_NAME),
    "manifest of something else": (_changed_manifest(lambda f: f.update(format="zoo")), FILE_NAME),
    "manifest with more in it": (_changed_manifest(lambda f: f.update(more=1)), FILE_NAME),
    "manifest without entries": (_changed_manifest(lambda f: f.pop("entries")), FILE_NAME),
    "manifest out of order": (_changed_manifest(lambda f: f["entries"].reverse()), FILE_NAME),
    "manifest with an entry twice": (_changed_manifest(lambda f: f["entries"].append(f["entries"][-1])), FILE_NAME),
    "manifest with a ref twice": (_changed_manifest(lambda f: f["refs"].append(f["refs"][-1])), FILE_NAME),
    "manifest with a path for a key": (_changed_manifest(lambda f: f["entries"][0].update(key="../x")), FILE_NAME),
    "manifest with a path for a ref": (_changed_manifest(lambda f: f["refs"][0].update(name_sha256="../x")), FILE_NAME),
    "manifest with a negative size": (
        _changed_manifest(lambda f: f["entries"][0]["record"].update(size=-1)),
        FILE_NAME,
    ),
    "manifest with a size beyond all": (
        _changed_manifest(lambda f: f["entries"][0]["weights.safetensors"].update(size=8**11)),
        FILE_NAME,
    ),
    "manifest with a record beyond all": (
        _changed_manifest(lambda f: f["entries"][0]["record"].update(size=2 << 20)),
        FILE_NAME,
    ),
    "manifest with a size that is true": (
        _changed_manifest(lambda f: f["entries"][0]["record"].update(size=True)),
        FILE_NAME,
    ),
    "manifest that lies about a size": (
        _changed_manifest(lambda f: f["entries"][1]["weights.safetensors"].update(size=169)),
        SECOND_RECORD,
    ),
    "manifest with things that are no things": (_changed_manifest(lambda f: f.update(entries=[None])), FILE_NAME),
    "ref": (lambda m: {**m, _second_ref(m): m[_second_ref(m)].replace(b"1111", b"1112")}, "refs/"),
    "ref, and the manifest with it": (
        lambda m: forged({**m, _second_ref(m): m[_second_ref(m)].replace(b"1111", b"1112")}),
        "refs/",
    ),
    "ref of another name": (lambda m: forged({**m, _second_ref(m): ref_bytes("hub:x", {})}), "refs/"),
    "ref with a number beyond all": (lambda m: _with_data(m, b'"x": -1e999'), "refs/"),
    "ref that is nested deeply": (lambda m: _with_data(m, b'"x": ' + _NEST), "refs/"),
    "ref that would be written larger than it is read": (
        lambda m: _with_data(m, b'"x":[' + b"1," * 400_000 + b"1]"),
        "refs/",
    ),
    "order": (_swapped, f"entries/{FIRST}/entry.json"),
    "an entry is missing": (lambda m: _without(m, f"entries/{SECOND}"), "its size"),
    "the last is missing": (lambda m: _without(m, "refs/"), "its size"),
    "the manifest is missing": (lambda m: _without(m, FILE_NAME), FILE_NAME),
    "one more than it promises": (lambda m: {**m, "refs/more.json": b""}, "its size"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_refused_and_nothing_of_it_stays(bundle: bytes, other: Store, what: str) -> None:
    change, member = TAMPERED[what]
    with pytest.raises(BundleError) as caught:
        unpacked(other, archive_of(change(members_of(bundle))))
    assert str(caught.value.member).startswith(member)
    assert str(PATH) in str(caught.value)
    assert caught.value.path == PATH
    came_before = {SECOND_RECORD: [FIRST], SECOND_WEIGHTS: [FIRST], "refs/": [FIRST, SECOND]}
    # a lie about a size shows in that of the whole, before anything is done
    assert list(other.keys()) in ([], came_before.get(member))
    assert_clean(other)
    assert dict(other.refs()) == {}


@pytest.mark.parametrize("place", [0, 1, 2, 5])
def test_a_member_twice_is_refused(bundle: bytes, other: Store, place: int) -> None:
    members = list(members_of(bundle).items())
    with pytest.raises(BundleError):
        unpacked(other, archive_of([*members[: place + 1], *members[place:]]))
    assert_clean(other, holds=[])


def test_members_of_another_kind_in_the_place_of_one_are_refused(bundle: bytes, other: Store, tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE):
        info = tarfile.TarInfo(SECOND_RECORD)
        info.type, info.linkname = kind, str(tmp_path / "target")
        place = bundle.index(SECOND_RECORD.encode(), 2048)
        changed = bundle[:place] + info.tobuf(tarfile.USTAR_FORMAT) + bundle[place + 512 :]
        with pytest.raises(BundleError) as caught:
            unpacked(other, changed)
        assert caught.value.member == SECOND_RECORD
        assert_clean(other, holds=[FIRST])
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_another_program_made_of_the_same_files_is_refused(bundle: bytes, other: Store) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members_of(bundle).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    with pytest.raises(BundleError):
        unpacked(other, out.getvalue())
    assert not other.root.exists()


def test_a_ref_never_leads_out_of_the_store(bundle: bytes, other: Store) -> None:
    name = "../../../evil\0\\x"
    members = members_of(bundle)
    facts = unseal(members.pop(FILE_NAME), limit=1 << 20)
    members.pop(_second_ref(members))
    facts["refs"] = [{"name_sha256": ref_path(Path(), name).stem, "size": 0, "sha256": "0" * 64}]
    text = ref_bytes(name, {"a": 1})
    evil = forged({FILE_NAME: seal(facts), **members, f"refs/{ref_path(Path(), name).stem}.json": text})
    assert unpacked(other, archive_of(evil)).refs == (name,)
    assert {path.split("/")[0] for path in files_under(other.root.parent)} == {"cache"}
    assert other.recall(name) == {"a": 1}


@given(data=st.binary(max_size=700))
@settings(deadline=None, max_examples=100)
def test_any_other_bytes_are_a_typed_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        for text in (data, archive_of({FILE_NAME: data}), archive_of({FILE_NAME: seal({"entries": data.hex()})})):
            with pytest.raises(BundleError):
                unpacked(Store(Path(folder)), text)
        assert files_under(Path(folder)) == {}
