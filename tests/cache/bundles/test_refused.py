"""A bundle that was cut, damaged, tampered with or made up is refused, and nothing of the bad part stays."""

from __future__ import annotations

import io
import random
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache.bundles.manifest import FILE_NAME
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.errors import BundleError
from depthhub_cache.identity import ContentHash
from depthhub_cache.record import Record
from depthhub_cache.refs import ref_bytes, ref_path
from depthhub_cache.sealed import seal, unseal
from depthhub_cache.store import Store

from ..samples import files_under, hash_of, memory_folder, publish
from .archives import (
    ANSWER,
    FIRST,
    PATH,
    REF,
    SECOND,
    Members,
    archive_of,
    assert_clean,
    flipped,
    forged,
    members_of,
    packed,
    sealed_again,
    unpacked,
)


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


def test_who_is_refused_is_told_what_came_before_and_stays(bundle: bytes, other: Store) -> None:
    place = bundle.rindex(members_of(bundle)[f"entries/{SECOND}/weights.safetensors"][-64:])
    with pytest.raises(BundleError, match="1 of its 2 entries came before that; they are verified, and here"):
        unpacked(other, flipped(bundle, place))
    assert_clean(other, holds=[FIRST])
