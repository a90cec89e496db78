"""Sealed facts prove themselves: what is read back is what was written, byte for byte, or it is not read at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache.record import Record
from depthhub_cache.refs import parse_ref, ref_bytes, ref_path
from depthhub_cache.sealed import seal, unseal
from depthhub_cache.store import Store

from .samples import hash_of, key_of, publish

LIMIT = 1 << 20

_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_FACTS = st.dictionaries(st.text().filter(lambda name: name != "sha256"), _PLAIN, min_size=1, max_size=4)

RECORD = Record(
    schema=1,
    key=key_of("vits"),
    weights="weights.safetensors",
    weights_sha256=hash_of(b"weights"),
    weights_size=123,
    header_sha256=hash_of(b"header"),
    created_at="2024-02-29T12:00:00+00:00",
    about={"name": "vits", "licence": "apache-2.0"},
).to_bytes()
REF = ref_bytes("vits", {"content_hash": hash_of(b"weights"), "size": 123})
PARSERS: list[Any] = [pytest.param(Record.parse, RECORD, id="record"), pytest.param(parse_ref, REF, id="ref")]


def sealed_by_hand(body: bytes) -> bytes:
    """What ends in the right digest of its text, whatever that text is."""
    body += b',\n  "sha256": "'
    return body + hashlib.sha256(body).hexdigest().encode() + b'"\n}\n'


@settings(deadline=None, max_examples=100)
@given(_FACTS)
def test_any_plain_facts_come_back(facts: dict[str, Any]) -> None:
    data = seal(facts)
    assert unseal(data, limit=LIMIT) == facts
    assert seal(unseal(data, limit=LIMIT)) == data
    assert set(json.loads(data)) == {*facts, "sha256"}  # plain JSON, for everybody else


@settings(deadline=None, max_examples=300)
@given(facts=_FACTS, data=st.data())
def test_no_other_bytes_come_back_as_facts(facts: dict[str, Any], data: st.DataObject) -> None:
    whole = seal(facts)
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    changed = whole[:begin] + data.draw(st.binary(max_size=8)) + whole[end:]
    if changed != whole:
        with pytest.raises(ValueError, match="it "):
            unseal(changed, limit=LIMIT)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=300) | st.binary(max_size=100).map(sealed_by_hand))
def test_bytes_from_nowhere_are_facts_or_a_value_error(data: bytes) -> None:
    try:
        facts = unseal(data, limit=LIMIT)
    except ValueError:
        return
    assert "sha256" not in facts


@pytest.mark.parametrize(("parse", "whole"), PARSERS)
def test_every_other_value_of_every_byte_is_found(parse: Callable[[bytes], object], whole: bytes) -> None:
    parse(whole)
    for place, right in enumerate(whole):
        for wrong in range(256):
            if wrong != right:
                with pytest.raises(ValueError, match=r"sha256|JSON"):
                    parse(whole[:place] + bytes([wrong]) + whole[place + 1 :])


@pytest.mark.parametrize(("parse", "whole"), PARSERS)
def test_every_cut_every_lost_byte_and_every_further_byte_is_found(
    parse: Callable[[bytes], object], whole: bytes
) -> None:
    for place in range(len(whole)):
        changed = (whole[:place], whole[place + 1 :], whole[:place] + whole[place + 1 :])
        for data in (*changed, whole[:place] + b" " + whole[place:]):
            with pytest.raises(ValueError, match=r"sha256|JSON"):
                parse(data)
    for further in (b" ", b"\n", b"\0", whole):
        with pytest.raises(ValueError, match="damaged, or was edited"):
            parse(whole + further)


@pytest.mark.parametrize(("parse", "whole"), PARSERS)
def test_the_same_facts_in_other_words_are_not_what_was_sealed(parse: Callable[[bytes], object], whole: bytes) -> None:
    facts = json.loads(whole)
    for text in (json.dumps(facts), json.dumps(facts, indent=2), json.dumps(facts, indent=2, sort_keys=True) + "\n"):
        with pytest.raises(ValueError, match="damaged, or was edited"):
            parse(text.encode())


@pytest.mark.parametrize(("parse", "whole"), PARSERS)
def test_facts_that_lack_something_are_refused_though_they_are_sealed(
    parse: Callable[[bytes], object], whole: bytes
) -> None:
    facts = unseal(whole, limit=LIMIT)
    for name in set(facts) - {"header_sha256"}:  # of a file that has none
        others = {other: value for other, value in facts.items() if other != name}
        for wrong in ({}, {name: []}, {name: None}, {name: 1.5}):
            with pytest.raises(ValueError, match=r"its \w+|no ref of this version"):
                parse(seal(others | wrong))


def test_the_limit_is_the_last_size_that_is_read() -> None:
    data = seal({"a": "x" * 100})
    assert unseal(data, limit=len(data)) == {"a": "x" * 100}
    with pytest.raises(ValueError, match=f"larger than {len(data) - 1} bytes"):
        unseal(data, limit=len(data) - 1)
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        unseal(bytes(11), limit=10)


def _nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"sha256": "x"},
        {"a": float("nan")},
        {"a": float("-inf")},
        {"a": b"bytes"},
        {"a": {1, 2}},
        {"a": Path("x")},
        {"a": _nested(100_000)},
    ],
    ids=["nothing", "sha256", "nan", "inf", "bytes", "set", "path", "deep"],
)
def test_what_is_no_plain_json_is_not_sealed(facts: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        seal(facts)


def test_what_is_sealed_is_read_back_however_deep_it_is() -> None:
    def deepest(work: Callable[[list[Any]], object]) -> int:
        for depth in range(300):
            try:
                work(_nested(depth))
            except ValueError:
                return depth - 1
        pytest.fail("there is no limit")

    def written(value: list[Any]) -> bytes:
        return sealed_by_hand(b'{"a": ' + json.dumps(value).encode())

    sealed = deepest(lambda value: seal({"a": value}))
    assert sealed == deepest(lambda value: unseal(written(value), limit=LIMIT)) > 50
    assert unseal(seal({"a": _nested(sealed)}), limit=LIMIT) == {"a": _nested(sealed)}


def test_what_contains_itself_is_not_sealed() -> None:
    facts: dict[str, Any] = {}
    facts["self"] = facts
    with pytest.raises(ValueError, match=r"[Cc]ircular"):
        seal(facts)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1",
        b'{"a": NaN',
        b'{"a": Infinity',
        b'{"a": 1e999',
        b'{"a": [-1E999]',
        b'{"a": ' + b"[" * 300_000 + b"]" * 300_000,
        b'{"a": ' + b"[" * 200 + b"]" * 200,
        b'{"a": ' + b'{"b": ' * 200 + b"1" + b"}" * 200,
        b'{"a": ' + b"9" * 10_000,
        b'{"a": "\xff"',
        b'{"a": 1, ',
        b'{"a": {"b": 1',
        '{"a": 1'.encode("utf-16"),
    ],
    ids=[
        *(
            "nothing",
            "list",
            "nan",
            "inf",
            "beyond a float",
            "below a float",
            "deep",
            "lists",
            "objects",
            "long number",
        ),
        *("no utf-8", "comma", "open", "utf-16"),
    ],
)
def test_a_right_digest_makes_no_json_of_what_is_none(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is not JSON|it is nested too deeply"):
        unseal(sealed_by_hand(body), limit=LIMIT)


def test_a_member_that_is_there_twice_has_one_value_and_no_seal_among_the_facts() -> None:
    assert unseal(sealed_by_hand(b'{"sha256": "mine", "a": 1, "a": 2'), limit=LIMIT) == {"a": 2}


def test_every_flipped_bit_of_a_record_makes_the_entry_none(store: Store) -> None:
    entry = publish(store, "vits")
    record = entry.path / "entry.json"
    whole = record.read_bytes()
    for bit in range(0, len(whole) * 8, 3):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        record.write_bytes(flipped)
        assert store.get(entry.key) is None
    record.write_bytes(whole)
    found = store.get(entry.key)
    assert found is not None
    assert found.record == entry.record


def test_every_flipped_bit_of_a_ref_makes_it_forgotten(store: Store) -> None:
    store.remember("vits", {"a": 1})
    path = ref_path(store.root / "v1" / "refs", "vits")
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert store.recall("vits") is None
        assert list(store.refs()) == []
        assert [broken for broken, _ in store.broken_refs()] == [path]
    path.write_bytes(whole)
    assert store.recall("vits") == {"a": 1}
