"""The collection: the longest unused goes first, what is held stays and the report says why, what is freed is free."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from depthhub_cache import disk
from depthhub_cache.collection import Budget, Collected, sizes
from depthhub_cache.disk import tree_size
from depthhub_cache.identity import ContentHash
from depthhub_cache.owner import Owner
from depthhub_cache.store import Store
from depthhub_cache.tier import Tier

from .children import end, first_word_of, in_a_child, needs_fork, together, worker
from .conftest import Mount
from .samples import files_under, hash_of, key_of, publish, weights_of

DAY = 86_400.0
NOTHING_STAYS = Budget(max_size=0)
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs things of another user")


def publish_old(store: Store, name: object, *, days: float, size: int = 1000) -> int:
    """An entry that was published and used last so many days ago; its bytes."""
    entry = publish(store, name, data=weights_of(name, size))
    _age(entry.path, days)
    return tree_size(entry.path)


def use(store: Store, name: object, *, days: float) -> None:
    """Use an entry, so many days ago."""
    entry = store.get(key_of(name))
    assert entry is not None
    store.lease(entry).release()
    _age(store.root / "v1" / "used" / entry.key, days)


def keep(store: Store, data: bytes, *, days: float = 0.0) -> ContentHash:
    """Keep an original."""
    with store.stage() as staging:
        path = store.keep(staging.add("original.pth", data), hash_of(data))
    _age(path.parent, days)
    return hash_of(data)


def _age(path: Path, days: float) -> None:
    os.utime(path, (time.time() - days * DAY,) * 2)


def freed(collected: Collected) -> list[str]:
    return [decision.item.name for decision in collected.freed]


def spared(collected: Collected) -> dict[str, str]:
    return {decision.item.name: decision.why for decision in collected.spared}


def keys(*names: object) -> list[str]:
    return [key_of(name) for name in names]


def names_left(store: Store) -> set[str]:
    return {str(entry.record.about["name"]) for entry in store.entries()}


def test_without_a_budget_nothing_goes(store: Store) -> None:
    publish_old(store, "old", days=1000)
    keep(store, b"original", days=1000)
    collected = store.collect(Budget())
    assert collected.freed == collected.spared == ()
    assert collected.bytes == store.usage().bytes


def test_an_empty_cache_and_none_at_all_have_nothing_to_collect(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    collected = store.collect(NOTHING_STAYS)
    assert (collected.freed, collected.spared, collected.bytes, collected.freed_bytes) == ((), (), 0, 0)
    assert not store.root.exists()


def test_the_longest_unused_goes_first_until_the_rest_has_room(store: Store) -> None:
    sizes = {name: publish_old(store, name, days=days) for name, days in [("b", 3), ("a", 9), ("c", 6), ("d", 1)]}
    use(store, "a", days=2)
    collected = store.collect(Budget(max_size=sizes["a"] + sizes["d"]))
    assert freed(collected) == keys("c", "b")
    assert names_left(store) == {"a", "d"}
    assert collected.bytes == sizes["a"] + sizes["d"] == store.usage().entries.bytes
    assert collected.freed_bytes == sizes["b"] + sizes["c"]
    assert all("larger than" in decision.why for decision in collected.freed)


def test_a_cache_of_exactly_its_budget_stays_and_one_byte_less_is_too_small(store: Store) -> None:
    total = sum(publish_old(store, name, days=1) for name in "ab")
    assert store.collect(Budget(max_size=total)).freed == ()
    assert len(store.collect(Budget(max_size=total - 1)).freed) == 1


def test_of_those_used_at_the_same_time_the_order_is_always_the_same(store: Store) -> None:
    moment = time.time() - DAY
    for name in "abcd":
        os.utime(publish(store, name).path, (moment, moment))
    planned = freed(store.collect(NOTHING_STAYS, dry_run=True))
    assert planned == sorted(planned) == freed(store.collect(NOTHING_STAYS))


def test_what_was_not_used_for_long_goes_by_its_last_use(store: Store) -> None:
    for name, days in (("old", 91), ("used", 91), ("young", 89)):
        publish_old(store, name, days=days)
    use(store, "used", days=1)
    collected = store.collect(Budget(max_age=90 * DAY))
    assert freed(collected) == keys("old")
    assert collected.freed[0].why == "not used for 91.0 days"
    assert names_left(store) == {"used", "young"}


@pytest.mark.parametrize(("days", "words"), [(1.5, "1.5 days"), (0.5, "12.0 hours"), (0.01, "14.4 minutes")])
def test_the_report_says_for_how_long_something_was_not_used(store: Store, days: float, words: str) -> None:
    publish_old(store, "old", days=days)
    assert store.collect(Budget(max_age=1.0)).freed[0].why == f"not used for {words}"


def test_both_limits_count_each_for_itself(store: Store) -> None:
    size = publish_old(store, "old", days=100)
    for name, days in (("b", 3), ("c", 2), ("d", 1)):
        publish_old(store, name, days=days)
    assert freed(store.collect(Budget(max_size=2 * size, max_age=90 * DAY))) == keys("old", "b")
    assert names_left(store) == {"c", "d"}


def test_the_mark_of_use_goes_with_the_entry_and_one_made_again_is_new(store: Store) -> None:
    publish_old(store, "vits", days=100)
    use(store, "vits", days=100)
    assert freed(store.collect(Budget(max_age=90 * DAY))) == keys("vits")
    assert files_under(store.root / "v1" / "used") == {}
    store.lease(publish(store, "vits")).release()
    assert store.collect(Budget(max_age=90 * DAY)).freed == ()
    store.remove(key_of("vits"))
    assert files_under(store.root / "v1" / "used") == {}


def test_pinned_and_leased_stay_and_the_report_says_why(store: Store) -> None:
    for name in ("free", "leased", "pinned"):
        publish_old(store, name, days=100)
    store.pin(key_of("pinned"))
    leased = store.get(key_of("leased"))
    assert leased is not None
    lease = store.lease(leased)
    for budget in (Budget(max_age=DAY), NOTHING_STAYS):
        collected = store.collect(budget)
        assert spared(collected)[key_of("pinned")] == "pinned"
        assert names_left(store) == {"leased", "pinned"}
    mine = Owner.current()
    assert spared(collected)[key_of("leased")] == f"in use by process {mine.pid} on {mine.host}"
    assert collected.bytes == store.usage().entries.bytes > 0
    lease.release()
    store.unpin(key_of("pinned"))
    assert sorted(freed(store.collect(NOTHING_STAYS))) == sorted(keys("leased", "pinned"))


def test_what_is_spared_makes_others_go_in_its_stead(store: Store) -> None:
    size = publish_old(store, "pinned", days=100)
    publish_old(store, "b", days=3)
    publish_old(store, "c", days=1)
    store.pin(key_of("pinned"))
    assert freed(store.collect(Budget(max_size=2 * size))) == keys("b")
    assert names_left(store) == {"pinned", "c"}


def test_a_pin_can_be_set_and_taken_away_twice(store: Store) -> None:
    key = publish(store, "vits").key
    assert not store.is_pinned(key)
    for _ in range(2):
        store.pin(key)
        assert store.is_pinned(key)
    assert store.usage().pinned == 1
    for _ in range(2):
        store.unpin(key)
        assert not store.is_pinned(key)


def test_what_was_made_just_now_stays(store: Store) -> None:
    publish_old(store, "new", days=100)
    publish_old(store, "old", days=1)
    collected = store.collect(NOTHING_STAYS, keep=[key_of("new")])
    assert spared(collected) == {key_of("new"): "made just now"}
    assert names_left(store) == {"new"}


def test_a_dry_run_removes_nothing_and_says_what_the_real_run_then_does(store: Store) -> None:
    for name, days in (("a", 9), ("b", 5), ("c", 1)):
        publish_old(store, name, days=days)
    store.pin(key_of("b"))
    keep(store, b"original" * 100, days=20)
    store.distrust(publish(store, "broken"), "why")
    process = worker("stage", store.root, "part")
    first_word_of(process)
    end(process)
    store.lease(publish(store, "used")).release()
    for budget in (Budget(), Budget(max_size=2000), Budget(max_age=4 * DAY), Budget(max_size=0, max_age=0.0)):
        before = files_under(store.root)
        planned = store.collect(budget, dry_run=True)
        assert files_under(store.root) == before
        assert planned.dry_run
        done = store.collect(budget)
        assert not done.dry_run
        assert (planned.freed, planned.spared) == (done.freed, done.spared)
        assert (planned.bytes, planned.freed_bytes) == (done.bytes, done.freed_bytes)
    assert names_left(store) == {"b"}


def test_what_is_in_the_quarantine_goes_before_everything_else(store: Store) -> None:
    publish_old(store, "old", days=100)
    size = publish_old(store, "older", days=200)
    place = store.quarantine(publish(store, "broken").path, "why")
    assert place is not None
    total = 2 * size
    collected = store.collect(Budget(max_size=total))
    assert [(decision.item.kind, decision.item.name) for decision in collected.freed] == [("quarantine", place.name)]
    assert names_left(store) == {"old", "older"}


def test_what_is_in_the_quarantine_goes_after_a_month_without_any_budget(store: Store) -> None:
    places = []
    for name, days in (("old", 31), ("young", 29)):
        place = store.quarantine(publish(store, name).path, "why")
        assert place is not None
        _age(place, days)
        places.append(place)
    collected = store.collect(Budget())
    assert freed(collected) == [places[0].name]
    assert collected.freed[0].why == "set aside 31 days ago"
    assert [path.exists() for path in places] == [False, True]


def test_kept_originals_are_collected_like_entries(store: Store) -> None:
    publish_old(store, "old", days=50)
    old, young = keep(store, b"old", days=100), keep(store, b"young", days=1)
    collected = store.collect(Budget(max_age=90 * DAY))
    assert [(decision.item.kind, decision.item.name) for decision in collected.freed] == [("checkpoint", old)]
    assert store.kept(old) is None
    assert store.kept(young) is not None
    assert freed(store.collect(NOTHING_STAYS)) == [key_of("old"), young]


def test_broken_entries_are_collected_too(store: Store) -> None:
    publish(store, "cut").weights.write_bytes(b"cut")
    (publish(store, "no record").path / "entry.json").unlink()
    file = store.root / "v1" / "entries" / key_of("file")[:2] / key_of("file")
    file.parent.mkdir(exist_ok=True)
    file.write_text("no folder")
    assert sorted(freed(store.collect(NOTHING_STAYS))) == sorted(keys("cut", "no record", "file"))
    assert files_under(store.root / "v1" / "entries") == {}


def test_rubbish_goes_too_and_is_counted_beside(store: Store) -> None:
    process = worker("stage", store.root, "part")
    first_word_of(process)
    end(process)
    collected = store.collect(Budget())
    assert collected.swept == collected.freed_bytes == len(b"the first half")
    assert files_under(store.root / "v1" / "tmp") == {}


def test_a_use_in_the_future_is_the_latest_and_never_too_old(store: Store) -> None:
    """As of a host whose clock is wrong."""
    publish_old(store, "now", days=0)
    size = publish_old(store, "future", days=10)
    use(store, "future", days=-1000)
    assert store.collect(Budget(max_age=DAY)).freed == ()
    assert freed(store.collect(Budget(max_size=size))) == keys("now")
    lease = store.lease(next(store.entries()))
    lease.release()  # used now: the mark is right again
    assert freed(store.collect(Budget(max_age=0.0))) == keys("future")


@pytest.mark.parametrize("moment", [0, 1, -1, 2**31 + 5, 2**33])
def test_no_time_that_a_file_can_have_is_an_error(store: Store, moment: int) -> None:
    entry = publish(store, "vits")
    store.lease(entry).release()
    place = store.quarantine(publish(store, "broken").path, "why")
    assert place is not None
    for path in (entry.path, store.root / "v1" / "used" / entry.key, place):
        os.utime(path, (moment, moment))
    collected = store.collect(Budget(max_age=90 * DAY))
    assert bool(collected.freed) == (moment < time.time())
    json.dumps([decision.item.last_used for decision in collected.freed])


def test_refs_and_what_is_under_way_are_not_collected(store: Store) -> None:
    store.remember("vits", {"a": 1})
    with store.stage() as staging:
        path = staging.add("part", b"half")
        store.collect(Budget(max_size=0, max_age=0.0))
        assert path.exists()
    assert store.recall("vits") == {"a": 1}


def test_the_tiers_below_are_not_collected(tmp_path: Path) -> None:
    below = Store(tmp_path / "below")
    publish_old(below, "vits", days=100)
    store = Store(tmp_path / "above", below=[below.root])
    assert store.collect(Budget(max_size=0, max_age=0.0)).freed == ()
    assert below.get(key_of("vits")) is not None


def test_what_lies_among_the_entries_and_is_none_is_left_alone(store: Store) -> None:
    publish(store, "vits")
    stranger = store.root / "v1" / "entries" / "ab" / "notes.txt"
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_text("mine")
    store.collect(NOTHING_STAYS)
    assert stranger.read_text() == "mine"


@needs_fork
@pytest.mark.skipif(sys.platform == "win32", reason="what is open cannot be removed there")
def test_two_collections_at_once_remove_everything_once(store: Store) -> None:
    count = 60
    sizes = {key_of(name): publish_old(store, name, days=1) for name in range(count)}
    out = store.root / "out"

    def collects() -> None:
        collected = store.collect(NOTHING_STAYS)
        assert collected.spared == ()
        said = {decision.item.name: decision.item.bytes for decision in collected.freed}
        (out.parent / f"out{os.getpid()}").write_text(json.dumps(said))

    assert together(collects, collects, collects) == [0] * 3
    said = [json.loads(path.read_text()) for path in store.root.glob("out*")]
    assert sum(map(len, said)) == count, "what one has removed another one cannot have freed"
    assert {name: size for part in said for name, size in part.items()} == sizes
    assert list(store.keys()) == []
    assert files_under(store.root / "v1" / "tmp") == {}


@needs_fork
@needs_root
def test_what_another_user_does_not_let_go_is_reported_and_the_rest_goes(open_folder: Path) -> None:
    store = Store(open_folder / "cache")
    for name, days in (("theirs", 9), ("a", 8), ("b", 7)):
        publish_old(store, name, days=days)
    store.lease(publish(store, "c")).release()
    for folder, folders, files in os.walk(store.root):
        for path in (Path(folder), *(Path(folder, name) for name in (*folders, *files))):
            os.chown(path, 65534, 65534)
    theirs = store.root / "v1" / "entries" / key_of("theirs")[:2]
    os.chown(theirs, 0, 0)
    os.chown(theirs / key_of("theirs"), 0, 0)
    planned = {key_of("theirs"), *keys("a", "b", "c")}

    collected = in_a_child(lambda: store.collect(NOTHING_STAYS), as_nobody=True)
    assert set(freed(collected)) | set(spared(collected)) == planned
    assert set(spared(collected)) == {key_of("theirs")}
    assert "cannot be removed: " in spared(collected)[key_of("theirs")]
    assert "permission denied" in spared(collected)[key_of("theirs")]
    store.verify(key_of("theirs"), deep=True)
    assert collected.bytes == tree_size(theirs / key_of("theirs"))


@needs_fork
@needs_root
def test_a_cache_that_is_hidden_from_us_has_nothing_to_collect(open_folder: Path) -> None:
    """Its areas are another user's: no traceback, and nothing that was not seen is said to be gone."""
    store = Store(open_folder / "cache")
    publish_old(store, "vits", days=9)
    keep(store, b"original")
    store.quarantine(publish(store, "broken").path, "why")

    def look() -> None:
        store.collect(NOTHING_STAYS, dry_run=True)
        store.collect(NOTHING_STAYS)
        store.usage()
        list(store.kept_checkpoints())
        store.require_space(1)

    with store.stage() as staging:
        staging.add("part", b"half")
        before = files_under(store.root)
        folders = sorted((path for path in store.root.rglob("*") if path.is_dir()), reverse=True)  # the deepest first
        for folder in folders:
            folder.chmod(0o700)
            in_a_child(look, as_nobody=True)
        assert files_under(store.root) == before


def test_what_is_freed_is_really_free(mount: Mount) -> None:
    root = mount("size=4m")
    store = Store(root / "cache")
    for number in range(5):
        publish_old(store, number, days=number + 1, size=300_000)
    keep(store, bytes(200_000))
    store.distrust(publish(store, "broken", data=weights_of("broken", 200_000)), "why")
    before = shutil.disk_usage(root).free
    assert sizes(Tier(store.root))[1] == store.collect(NOTHING_STAYS, dry_run=True).freed_bytes
    collected = store.collect(Budget(max_size=700_000))
    gained = shutil.disk_usage(root).free - before
    assert collected.freed_bytes <= gained < collected.freed_bytes + 20 * 4096
    assert collected.bytes <= 700_000
    assert collected.bytes == store.usage().bytes


def test_what_cannot_be_deleted_after_all_is_not_said_to_be_free(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where somebody may have a file of it open; or on a disk that fails."""
    publish(store, "vits")
    with monkeypatch.context() as patch:
        patch.setattr(disk.shutil, "rmtree", lambda path, ignore_errors: None)
        collected = store.collect(NOTHING_STAYS)
    assert collected.freed_bytes == 0
    assert store.usage().bytes > 0


def test_on_a_full_disk_everything_can_be_collected(mount: Mount) -> None:
    root = mount("size=256k")
    store = Store(root)
    publish_old(store, "vits", days=1, size=50_000)
    with (root / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(4096)) == 4096 and shutil.disk_usage(root).free:
            pass
    assert freed(store.collect(NOTHING_STAYS)) == keys("vits")
    assert shutil.disk_usage(root).free >= 50_000
