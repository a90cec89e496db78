"""Strange records, refs, manifests and bundles."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

from tests.cache import samples

from depthhub_cache.bundles import archive
from depthhub_cache.bundles.manifest import Manifest
from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.errors import BundleError
from depthhub_cache.identity import is_sha256
from depthhub_cache.record import Record
from depthhub_cache.refs import parse_ref, ref_bytes
from depthhub_cache.sealed import seal
from depthhub_cache.store import Store

from . import bombs
from .fuzz_target import Change, Target, words_in
from .mutations import Mutator

# sealed things: a change shows at once, unless who made it sealed it again


def records(chance: random.Random) -> Target:
    record = Record(
        schema=1,
        key=samples.key_of("vits"),
        weights="weights.safetensors",
        weights_sha256=samples.hash_of(b"weights"),
        weights_size=7,
        header_sha256=samples.hash_of(b"header"),
        created_at="2026-01-01T00:00:00+00:00",
        about={"source": "vits", "recipe": {"build": {"family": "v2"}}, "decisions": []},
    )

    def parse(data: bytes) -> None:
        found = Record.parse(data)
        assert Record.parse(found.to_bytes()) == found
        assert is_sha256(found.key)
        assert "/" not in found.weights

    return Target(
        name="records of entries",
        share=140,
        sound=[record.to_bytes()],
        change=_sealed(chance, record.to_bytes()),
        parse=parse,
        refusals=(ValueError,),
        bombs=bombs.sealed(),
    )


def refs(chance: random.Random) -> Target:
    answer = {"content_hash": "0" * 64, "commit": "f" * 40, "filename": "a.pth", "size": 1, "git_sha1": None}
    text = ref_bytes("hub:depth-anything/vits@main", answer)

    def parse(data: bytes) -> None:
        name, found = parse_ref(data)
        assert parse_ref(ref_bytes(name, found)) == (name, found)

    return Target(
        name="refs",
        share=110,
        sound=[text],
        change=_sealed(chance, text),
        parse=parse,
        refusals=(ValueError,),
        bombs=bombs.sealed(),
    )


def manifests(folder: Path, chance: random.Random) -> Target:
    text = _members(_bundle(folder))[0][1]

    def parse(data: bytes) -> None:
        found = Manifest.parse(data)
        assert found.to_bytes() == data
        assert found.archive_size() < 1 << 63

    return Target(
        name="manifests of bundles",
        share=100,
        sound=[text],
        change=_sealed(chance, text),
        parse=parse,
        refusals=(ValueError,),
        bombs=bombs.sealed(),
    )


def _sealed(chance: random.Random, sound: bytes) -> Change:
    mutator = Mutator(chance, tokens=words_in(sound))

    def change(data: bytes, others: Sequence[bytes]) -> bytes:
        way = chance.random()
        if way < 0.3:
            return mutator.bytes(data, others)
        if way < 0.5:
            return _sealed_again(mutator.bytes(data, others))
        return _sealed_facts(mutator, data)

    return change


def _sealed_facts(mutator: Mutator, data: bytes) -> bytes:
    """Other facts, properly sealed; as they are where they cannot be."""
    try:
        facts = json.loads(data)
        facts.pop("sha256", None)
        changed = mutator.json(facts)
        return seal(changed) if isinstance(changed, dict) else json.dumps(changed).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return _sealed_again(data)


def _sealed_again(data: bytes) -> bytes:
    """The seal put right over whatever text there is before it."""
    body, mark, _ = data.rpartition(b'  "sha256": "')
    if not mark:
        return data
    return body + mark + hashlib.sha256(body + mark).hexdigest().encode() + b'"\n}\n'


# bundles


def bundles(folder: Path, chance: random.Random) -> Target:
    sound = _bundle(folder)
    place = folder / "importing"
    mutator = Mutator(chance, tokens=[b"ustar\x0000", b"0000644\0", b"bundle.json", b"../../x", b"\0" * 512])
    numbers = itertools.count()
    store = Store(place)

    def change(data: bytes, others: Sequence[bytes]) -> bytes:
        if chance.random() < 0.3:
            return mutator.bytes(data, others)
        return _assembled(mutator, chance, _members(sound))

    def parse(data: bytes) -> None:
        nonlocal store
        if next(numbers) % 50 == 0:
            store = Store(place / str(next(numbers)))
        try:
            import_bundle(store, io.BytesIO(data), Path("models.tar"))
        finally:
            for key in store.keys():  # noqa: SIM118  it is no dict
                store.verify(key, deep=True)
            assert not list((store.root / "v1" / "tmp").glob("*"))

    return Target(
        name="bundles",
        share=30,
        sound=[sound],
        change=change,
        parse=parse,
        refusals=(BundleError,),
        bombs=[sound[:512] + bomb for bomb in bombs.sealed()],
    )


def _bundle(folder: Path) -> bytes:
    store, out = Store(folder / "exporting"), io.BytesIO()
    for name in ("vits", "vitb"):
        samples.publish(store, name)
    export_bundle(store, list(store.keys()), {"hub:a": {"turn": 1}, "hub:b": {"turn": 2}}, out.write)
    return out.getvalue()


Member = tuple[str, bytes]


def _members(bundle: bytes) -> list[Member]:
    found, at = [], 0
    while name := bundle[at : at + 100].rstrip(b"\0").decode():
        size = int(bundle[at + 124 : at + 135], 8)
        found.append((name, bundle[at + 512 : at + 512 + size]))
        at += 512 + archive.padded(size)
    return found


def _assembled(mutator: Mutator, chance: random.Random, members: list[Member]) -> bytes:
    """A bundle of changed members, as somebody would forge it: what has to agree mostly does."""
    at = chance.randrange(len(members))
    name, content = members[at]
    if name.endswith(".json") and chance.random() < 0.7:
        content = _sealed_facts(mutator, content)
    else:
        content = mutator.bytes(content, [member[1] for member in members])
    members[at] = (name, content)
    if chance.random() < 0.5 and at > 0:
        members[0] = (members[0][0], _manifest_with(members[0][1], name, content))
    if chance.random() < 0.15:
        one, other = chance.randrange(len(members)), chance.randrange(len(members))
        members[one], members[other] = members[other], members[one]
    if chance.random() < 0.1:
        members.insert(at, members[chance.randrange(len(members))])
    text = b"".join(_tar_header(mutator, chance, *member) + _padded(member[1]) for member in members)
    return text + (b"" if chance.random() < 0.05 else bytes(1024))


def _manifest_with(text: bytes, name: str, content: bytes) -> bytes:
    """The manifest that promises the member `name` as it is now."""
    try:
        facts = json.loads(text)
        facts.pop("sha256")
        promise = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        kind, _, rest = name.partition("/")
        for item in facts[kind]:
            if kind == "refs" and rest.startswith(item["name_sha256"]):
                item.update(promise)
            elif kind == "entries" and rest.startswith(item["key"]):
                item["record" if rest.endswith("entry.json") else "weights.safetensors"] = promise
        return seal(facts)
    except (ValueError, KeyError, TypeError, AttributeError):
        return text


def _tar_header(mutator: Mutator, chance: random.Random, name: str, content: bytes) -> bytes:
    block = archive.header(name, len(content))
    if chance.random() > 0.1:
        return block
    changed = bytearray(mutator.bytes(block, [block])[:512].ljust(512, b"\0"))
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def _padded(content: bytes) -> bytes:
    return content.ljust(archive.padded(len(content)), b"\0")
