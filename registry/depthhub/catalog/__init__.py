"""Released checkpoints by name: the built-in `catalog.json`, or a catalog that somebody else wrote.

What an entry holds and how a file is read: `file.py`. Here are the ways to find an entry: by name or alias, by
file, by content hash, by pattern. A mistyped name gets suggestions.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import CatalogError, UnknownModelError
from ..hub_names import RepoType
from ..settings import Settings
from .file import CatalogEntry, Entries, Layout, read_catalog, read_trusted

__all__ = ["Catalog", "CatalogEntry", "Layout", "list_models"]

BUILT_IN = Path(__file__).with_name("catalog.json")

_SUGGESTIONS = 3


def list_models(pattern: str = "*") -> tuple[str, ...]:
    """Names that `from_pretrained` takes, in the catalog's order. `pattern` is a shell pattern such as `v2-*`."""
    catalog = Catalog.known(Settings.resolve().catalog)
    return tuple(entry.name for entry in catalog.search(pattern) if entry.build is not None)


class Catalog:
    """Checkpoints in the order of their file. `aliases` maps other names to theirs."""

    __slots__ = ("_files", "aliases")

    def __init__(self, files: tuple[Entries, ...], aliases: Mapping[str, str]) -> None:
        self._files = files
        self.aliases = aliases

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Catalog:
        """The built-in catalog, read once; or the one at `path`, of the same schema.

        Raises CatalogError where a file breaks the schema, NotFoundError where there is none.
        """
        if path is None:
            return _built_in()
        entries, aliases = read_catalog(Path(path))
        return cls((entries,), aliases)

    @classmethod
    def known(cls, further: Path | None) -> Catalog:
        """The built-in catalog, and the entries of a `further` file (`DEPTHHUB_CATALOG`) where there is one.

        Raises as `load` does, and CatalogError where the file gives a built-in name another meaning.
        """
        if further is None:
            return cls.load()
        ours, theirs = cls.load(), cls.load(further)
        names = (*(entry.name for entry in theirs), *theirs.aliases)
        if taken := [name for name in names if name in ours]:
            raise CatalogError(
                f"Catalog {further}: the built-in catalog has {taken[0]!r} already; choose another name.",
                path=further,
                entry=taken[0],
            )
        for entry in theirs:
            by_bytes = ours.by_sha256(entry.sha256) if entry.sha256 else None
            by_place = ours.by_file(entry.repo_id, entry.repo_type, entry.filename)
            for shared, known in (("sha256", by_bytes), ("file", by_place)):
                if known is not None and known.build != entry.build:
                    raise CatalogError(
                        f"Catalog {further}: {entry.name} has the {shared} of {known.name}, which is built otherwise.",
                        path=further,
                        entry=entry.name,
                        field="build",
                    )
        return cls((*ours._files, *theirs._files), {**ours.aliases, **theirs.aliases})

    def __iter__(self) -> Iterator[CatalogEntry]:
        return (entry for file in self._files for entry in file)

    def __len__(self) -> int:
        return sum(map(len, self._files))

    def __contains__(self, name: object) -> bool:
        """Whether `name` is one of ours, or another name for one."""
        return name in self.aliases or any(name in file for file in self._files)

    def find(self, name: str) -> CatalogEntry:
        """The entry of a name or an alias, supported or not. Raises UnknownModelError with near misses."""
        meant = self.aliases.get(name, name)
        for file in self._files:
            if meant in file:
                return file[meant]
        raise self._unknown(name)

    def by_sha256(self, content_hash: str, *, hints: bool = False) -> CatalogEntry | None:
        """The entry whose pinned sha256 this is. `hints`: else one that fewer than two sources state it for."""
        stating = list(self._stating(sha256=content_hash))
        pinned = [entry for entry in stating if entry.sha256 is not None]
        return next(iter(pinned or (stating if hints else ())), None)

    def by_file(self, repo_id: str, repo_type: RepoType, filename: str) -> CatalogEntry | None:
        """The entry of one file of a repository, at whatever commit."""
        return next(self._stating(repo_id=repo_id, repo_type=repo_type, filename=filename), None)

    def by_repo(self, repo_id: str, repo_type: RepoType) -> tuple[CatalogEntry, ...]:
        """Every entry of a repository."""
        return tuple(self._stating(repo_id=repo_id, repo_type=repo_type))

    def search(self, pattern: str) -> tuple[CatalogEntry, ...]:
        """Entries with a name or an alias that fits a shell pattern: `v2-*`, `*-vit[sb]`."""
        from fnmatch import fnmatchcase

        aliased = {name for alias, name in self.aliases.items() if fnmatchcase(alias, pattern)}
        return tuple(entry for entry in self if entry.name in aliased or fnmatchcase(entry.name, pattern))

    def _stating(self, **facts: str) -> Iterator[CatalogEntry]:
        return (entry for file in self._files for entry in file.stating(**facts))

    def _unknown(self, name: str) -> UnknownModelError:
        near = self._near(name)
        hint = f" Did you mean {_either(near)}?" if near else ""
        return UnknownModelError(
            f"Unknown model {name!r}.{hint} `depthhub list` shows all names; a file is written ./{name}, "
            "a Hub repository owner/name.",
            name=name,
            suggestions=near,
        )

    def _near(self, name: str) -> tuple[str, ...]:
        """Names that may be meant, best first. What the authors call repository, file and family is near, too."""
        from difflib import get_close_matches

        known: dict[str, list[str]] = {}
        for alias in self.aliases:
            known.setdefault(_spelling(alias), []).append(alias)
        for entry in self:
            for spelling in dict.fromkeys(map(_spelling, _other_names(entry))):
                known.setdefault(spelling, []).append(entry.name)
        wanted = _spelling(name)
        near = [wanted] if wanted in known else get_close_matches(wanted, known, n=_SUGGESTIONS)
        near = near or [spelling for spelling in known if wanted and spelling.startswith(wanted)]
        return tuple(dict.fromkeys(name for spelling in near for name in known[spelling]))[:_SUGGESTIONS]


def _other_names(entry: CatalogEntry) -> tuple[str, ...]:
    repository = entry.repo_id.partition("/")[2]
    stem = entry.filename.rpartition("/")[2].rpartition(".")[0]
    family = f"{entry.family}-{entry.encoder}"
    return (entry.name, repository, family) if stem in _STEMS_OF_ALL else (entry.name, repository, stem, family)


_STEMS_OF_ALL = ("model", "pytorch_model")
_SIZES = {"small": "vits", "base": "vitb", "large": "vitl", "giant": "vitg"}


def _spelling(name: str) -> str:
    """What is left when case, separators and the two ways to say a size do not count."""
    letters = "".join(filter(str.isalnum, name.lower()))
    for word, encoder in _SIZES.items():
        letters = letters.replace(word, encoder)
    return letters


def _either(names: tuple[str, ...]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


@functools.cache
def _built_in() -> Catalog:
    entries, aliases = read_trusted(BUILT_IN)
    return Catalog((entries,), aliases)
