"""Which caches there are, by what the user has set."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs  # noqa: F401  before a user is no longer root, who alone may be able to read it
import pytest

from depthhub import SettingsError
from depthhub.settings import Settings
from depthhub_cache.errors import CacheNotWritableError

from .children import in_a_child, needs_fork
from .samples import files_under, publish, weights_of
from .tiers import KEY, fill

SEP = os.pathsep


def resolve(**env: str) -> Settings:
    return Settings.resolve(env=env)


def test_the_variable_names_the_writable_one_first_then_those_that_are_read(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("own", "shared", "image")]
    settings = resolve(DEPTHHUB_CACHE=SEP.join(map(str, roots)))
    assert [settings.cache_dir, *settings.lower_caches] == roots
    assert [tier.root for tier in settings.open_store().tiers] == roots
    assert resolve(DEPTHHUB_CACHE=str(roots[0])).lower_caches == ()


def test_a_root_that_is_named_twice_or_not_at_all_counts_once_or_not(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    settings = resolve(DEPTHHUB_CACHE=f"{one}{SEP}{SEP}{two}{SEP}{one}{SEP}{two}{SEP}")
    assert (settings.cache_dir, settings.lower_caches) == (one, (two,))


def test_an_empty_first_one_is_the_default(tmp_path: Path) -> None:
    default = resolve().cache_dir
    settings = resolve(DEPTHHUB_CACHE=f"{SEP}{tmp_path}")
    assert (settings.cache_dir, settings.lower_caches) == (default, (tmp_path,))
    assert resolve(DEPTHHUB_CACHE="").cache_dir == default
    assert resolve(DEPTHHUB_CACHE=SEP).cache_dir == default
    assert resolve(DEPTHHUB_CACHE=SEP).lower_caches == ()


def test_the_callers_text_is_split_and_a_path_never_is(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    told = Settings.resolve(cache_dir=f"{one}{SEP}{two}", env={"DEPTHHUB_CACHE": "/elsewhere"})
    assert (told.cache_dir, told.lower_caches) == (one, (two,))
    strange = tmp_path / f"a{SEP}b"
    told = Settings.resolve(cache_dir=strange, env={"DEPTHHUB_CACHE": f"/elsewhere{SEP}/below"})
    assert (told.cache_dir, told.lower_caches) == (strange, ())
    store = told.open_store()
    publish(store, "vits")
    assert strange.is_dir()


def test_home_is_understood_in_each_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    settings = resolve(DEPTHHUB_CACHE=f"~/own{SEP}~/below")
    assert (settings.cache_dir, settings.lower_caches) == (tmp_path / "own", (tmp_path / "below",))
    with pytest.raises(SettingsError, match="DEPTHHUB_CACHE") as caught:
        resolve(DEPTHHUB_CACHE=f"{tmp_path}{SEP}~nobody-of-this-name/below")
    assert caught.value.variable == "DEPTHHUB_CACHE"


def test_a_home_that_does_not_exist_is_no_obstacle_to_reading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fill(tmp_path / "image", "vits")
    monkeypatch.setenv("HOME", str(tmp_path / "no" / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    store = resolve(DEPTHHUB_CACHE=f"{SEP}{tmp_path / 'image'}").open_store()
    entry = store.get(KEY)
    assert entry is not None
    store.lease(entry).release()
    assert store.usage().bytes == 0
    if sys.platform == "linux":
        assert store.root.is_relative_to(tmp_path / "no")
    assert not (tmp_path / "no").exists()


@needs_fork
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="becomes another user")
def test_a_container_with_a_random_uid_and_no_home_reads_and_is_told_where_to_write(open_folder: Path) -> None:
    image = fill(open_folder / "image", "vits").root

    def as_random_user(work: Callable[[], Any]) -> Any:
        def do() -> Any:
            os.environ.pop("HOME", None)
            os.environ.pop("XDG_CACHE_HOME", None)
            os.setgroups([])
            os.setgid(1_234_567)
            os.setuid(1_234_567)
            return work()

        return in_a_child(do)

    def read() -> bytes:
        store = resolve(DEPTHHUB_CACHE=str(image)).open_store()
        entry = store.get(KEY)
        assert entry is not None
        store.lease(entry).release()
        with pytest.raises(CacheNotWritableError, match=r"uid 1234567.*DEPTHHUB_CACHE or cache_dir"):
            publish(store, "vitb")
        return entry.weights.read_bytes()

    assert as_random_user(read) == weights_of("vits")
    for places in ("", f"{SEP}{image}"):
        with pytest.raises(SettingsError, match=r"no home folder.*DEPTHHUB_CACHE or cache_dir") as caught:
            as_random_user(lambda places=places: resolve(DEPTHHUB_CACHE=places).cache_dir)
        assert caught.value.variable == "DEPTHHUB_CACHE"
    assert files_under(image / "v1" / "leases") == {}
