"""Refs: what was remembered is recalled, or nothing is."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthhub_cache.refs import ref_path
from depthhub_cache.store import Store

from .children import killed_in_a_child, needs_fork, together
from .samples import key_of, memory_folder

_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=30)
@given(name=st.text(), data=st.dictionaries(st.text(), _PLAIN, min_size=1, max_size=4))
def test_any_name_and_any_plain_data_come_back(name: str, data: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory(dir=memory_folder()) as root:
        store = Store(Path(root))
        store.remember(name, {"before": 1})
        store.remember(name, data)
        assert store.recall(name) == data
        assert list(store.refs()) == [(name, data)]
        store.forget(name)
        assert not store.recall(name)
        assert list(store.refs()) == []


def test_a_name_never_becomes_a_path(store: Store) -> None:
    store.remember("../../../../../etc/passwd\0", {"a": 1})
    assert ref_path(store.root, "../x").parent.parent == store.root
    assert store.recall("../../../../../etc/passwd\0") == {"a": 1}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 200_000, b'{"schema": 1, "name": "vits", "data": 3}']
)
def test_a_damaged_ref_is_none_and_can_be_remembered_again(store: Store, content: bytes) -> None:
    store.remember("vits", {"a": 1})
    path = ref_path(store.root / "v1" / "refs", "vits")
    path.write_bytes(content)
    assert store.recall("vits") is None
    assert list(store.refs()) == []
    store.remember("vits", {"a": 2})
    assert store.recall("vits") == {"a": 2}


def test_a_ref_of_another_name_is_not_believed(store: Store) -> None:
    refs = store.root / "v1" / "refs"
    store.remember("vits", {"a": 1})
    ref_path(refs, "vitb").parent.mkdir(exist_ok=True)
    ref_path(refs, "vits").rename(ref_path(refs, "vitb"))
    assert store.recall("vitb") is None
    assert list(store.refs()) == []


def test_what_is_too_large_to_be_recalled_is_not_remembered(store: Store) -> None:
    with pytest.raises(ValueError, match="larger than"):
        store.remember("vits", {"text": "x" * (1 << 20)})
    assert store.recall("vits") is None


@needs_fork
def test_a_reader_never_sees_a_half_remembered_answer(store: Store) -> None:
    long = {"text": "x" * 100_000}
    store.remember("vits", long)

    end = time.monotonic() + 1.0

    def recall() -> None:
        while time.monotonic() < end:
            assert store.recall("vits") == long

    def remember() -> None:
        while time.monotonic() < end:
            store.remember("vits", long)

    assert together(recall, remember, recall) == [0] * 3


@needs_fork
def test_killed_at_any_line_a_process_leaves_the_old_answer_or_the_new_one(store: Store) -> None:
    store.remember("vits", {"number": 0})
    seen = set()
    for line in range(1, 1000, 4):
        before = store.recall("vits")
        killed = killed_in_a_child(lambda line=line: store.remember("vits", {"number": line}), at_line=line)
        after = store.recall("vits")
        assert after in (before, {"number": line})
        seen.add(after == before)
        if not killed:
            break
    assert seen == {True, False}
    store.sweep()
    assert list((store.root / "v1" / "tmp").iterdir()) == []


def test_refs_and_entries_do_not_meet(store: Store) -> None:
    store.remember(key_of("vits"), {"a": 1})
    assert store.get(key_of("vits")) is None
