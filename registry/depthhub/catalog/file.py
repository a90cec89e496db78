"""The schema of a catalog file: read strictly, once, into `CatalogEntry`. What breaks it is one error that says where.

A catalog is JSON: {"version": 1, "about": text, "aliases": {alias: name, ...}, "checkpoints": [...]}. A checkpoint:

    name                     a-z 0-9 . _ -; no two are the same
    family                   in the authors' words, such as depth-anything-v2
    encoder                  vits, vitb, vitl or vitg; left out for any other size
    repo_id, repo_type       the repository on the Hub; its type is model or space
    filename                 path of the file in it; no two checkpoints are the same file
    revision                 the commit that holds the file, 40 hex digits
    sha256                   of the file, 64 hex digits
    revision_corroborations  how many independent sources state that very revision; left out where the author of
    sha256_corroborations    the catalog vouches for it. 2 make a pin, 1 makes a hint. The same for the sha256
    size                     bytes
    licence                  lower case, as in SPDX; left out or null only with a licence_note that says why
    licence_disputed         true where sources disagree: licence is the strictest that one of them states, and
                             licence_note says how they disagree
    licence_note             what else has to be known of the licence
    official                 true for an upload of the authors
    layout                   how the tensors are named: original, distill, transformers or depthhub
    build                    how to build the model; with layout in every checkpoint that can be loaded
    unsupported              in the place of both: one sentence why it cannot be loaded, and what to use instead
    notes                    anything else worth knowing

A `build` has `family` (v1, v2, v2-metric), `taps` (`last-four` or `spread`), `activation` (`relu` or `sigmoid`) and
`max_depth` (metres, or null). A field may be null where it may be left out.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from depthhub_cache.identity import is_sha256

from ..errors import UnsupportedModelError
from ..hub_names import WEIGHT_SUFFIXES, RepoType, file_path_problem, is_commit, is_licence, repo_id_problem
from ..model.config import FAMILIES, Build
from .fields import (
    Fields,
    a_bool,
    a_count,
    a_list,
    a_number,
    a_text,
    an_object,
    one_of,
    read_json,
    satisfying,
    without,
)

Layout = Literal["original", "distill", "transformers", "depthhub"]

_VERSION = 1
_ENOUGH = 2
"""Independent sources that make a stated value a pin."""

_NAME = r"[a-z0-9][a-z0-9._-]{0,95}"


def _name_problem(name: str) -> str | None:
    if not re.fullmatch(_NAME, name):
        return "1 to 96 of a-z 0-9 . _ -, beginning with a letter or a digit"
    return "with that ending it would be a file" if name.endswith(WEIGHT_SUFFIXES) else None


_name = without(_name_problem, "a name")
_commit = satisfying(is_commit, "40 hex digits in lower case")
_digest = satisfying(is_sha256, "64 hex digits in lower case")
_licence = satisfying(is_licence, "a licence in lower case, as in SPDX")
_repo_id = without(repo_id_problem, "owner/name")
_file_path = without(file_path_problem, "the path of a file in the repository")
_repo_type = one_of(get_args(RepoType))
_layout = one_of(get_args(Layout))
_family = one_of(FAMILIES)


class CatalogEntry(NamedTuple):
    """One released checkpoint.

    family, encoder: in the authors' words; encoder is None for a size that nobody has released.
    revision, sha256: pins, to be relied on. The `_hint`s are what fewer than two independent sources state: a digest to
        be confirmed by the Hub's own, a commit to ask for first and the main branch where the Hub does not have it.
        Of pin and hint one at most is set; neither was found where both are None.
    size: bytes. licence: lower case, as in SPDX; None only with a note. Where it is disputed, the strictest reading.
    build: how to build the model, None exactly where `unsupported` says in one sentence why there is no way.
    official: uploaded by the authors.
    """

    name: str
    family: str
    encoder: str | None
    repo_id: str
    repo_type: RepoType
    filename: str
    revision: str | None
    revision_hint: str | None
    sha256: str | None
    sha256_hint: str | None
    size: int | None
    licence: str | None
    licence_disputed: bool
    licence_note: str | None
    official: bool
    layout: Layout | None
    build: Build | None
    unsupported: str | None
    notes: str | None

    def require_supported(self) -> Build:
        """How to build it. Raises UnsupportedModelError, with the reason, where a plain DPT cannot express it."""
        if self.build is None:
            reason = self.unsupported or ""
            raise UnsupportedModelError(
                f"{self.name} is known, but cannot be loaded. {reason}", name=self.name, reason=reason
            )
        return self.build


class Entries:
    """Checkpoints by name, in their order; each is read from its object in the file when it is first asked for."""

    def __init__(self, objects: Mapping[str, Mapping[str, object]], path: Path) -> None:
        self._objects = objects
        self._path = path
        self._read: dict[str, CatalogEntry] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._objects

    def __iter__(self) -> Iterator[CatalogEntry]:
        return map(self.__getitem__, self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def __getitem__(self, name: str) -> CatalogEntry:
        entry = self._read.get(name)
        if entry is None:
            entry = self._read[name] = _entry(Fields(self._objects[name], self._path, repr(name)))
        return entry

    def stating(self, **facts: str) -> Iterator[CatalogEntry]:
        """Those whose objects state all of `facts`, field -> value."""
        wanted = facts.items()
        return (self[name] for name, stated in self._objects.items() if wanted <= stated.items())


def read_trusted(path: Path) -> tuple[Entries, Mapping[str, str]]:
    """A file that was held against the schema when it was released: entries are read when they are asked for."""
    top: Any = read_json(path)
    return Entries({data["name"]: data for data in top["checkpoints"]}, path), top["aliases"]


def read_catalog(path: Path) -> tuple[Entries, Mapping[str, str]]:
    """Entries in their order, and aliases. Raises CatalogError at the first breach; NotFoundError without a file."""
    top = Fields(read_json(path), path, entry=None)
    version = top.required("version", a_count)
    if version != _VERSION:
        top.refuse("version", f"is {version}; this depthhub reads version {_VERSION}")
    top.optional("about", a_text)
    aliases = top.optional("aliases", an_object) or {}
    checkpoints = top.required("checkpoints", a_list)
    top.finish()
    entries = tuple(_entry(Fields(data, path, _label(data, place))) for place, data in enumerate(checkpoints, 1))
    _refuse_shared(entries, top)
    objects = {entry.name: data for entry, data in zip(entries, checkpoints, strict=True) if isinstance(data, dict)}
    return Entries(objects, path), _aliases(aliases, set(objects), top)


def _entry(fields: Fields) -> CatalogEntry:
    revision, revision_hint = _pin_or_hint(fields, "revision", _commit)
    sha256, sha256_hint = _pin_or_hint(fields, "sha256", _digest)
    unsupported = fields.optional("unsupported", a_text)
    build = fields.optional("build", an_object)
    if (build is None) == (unsupported is None):
        fields.refuse("build", "and 'unsupported': exactly one of the two has to be there")
    layout = fields.optional("layout", _layout)
    if (layout is None) != (build is None):
        fields.refuse("layout", "belongs with 'build': both or neither")
    licence = fields.optional("licence", _licence)
    licence_note = fields.optional("licence_note", a_text)
    licence_disputed = fields.optional("licence_disputed", a_bool) or False
    if licence_note is None and (licence is None or licence_disputed):
        fields.refuse("licence_note", "is missing: it has to say why there is no licence, or who disputes it")
    entry = CatalogEntry(
        name=fields.required("name", _name),
        family=fields.required("family", a_text),
        encoder=fields.optional("encoder", a_text),
        repo_id=fields.required("repo_id", _repo_id),
        repo_type=fields.required("repo_type", _repo_type),
        filename=fields.required("filename", _file_path),
        revision=revision,
        revision_hint=revision_hint,
        sha256=sha256,
        sha256_hint=sha256_hint,
        size=fields.optional("size", a_count),
        licence=licence,
        licence_disputed=licence_disputed,
        licence_note=licence_note,
        official=fields.required("official", a_bool),
        layout=layout,
        build=None if build is None else _build(Fields(build, fields.path, fields.entry, within="build.")),
        unsupported=unsupported,
        notes=fields.optional("notes", a_text),
    )
    fields.finish()
    return entry


def _build(fields: Fields) -> Build:
    """`taps` and `activation` follow from the family; they are written out for the reader, and have to agree."""
    family = fields.required("family", _family)
    taps = fields.required("taps", a_text)
    activation = fields.required("activation", a_text)
    max_depth = fields.optional("max_depth", a_number)
    try:
        build = Build(family, max_depth)
    except ValueError as error:
        fields.refuse("max_depth", f"does not fit: {error}")
    rule = "last-four" if family == "v1" else "spread"
    if taps != rule:
        fields.refuse("taps", f"is {taps!r}, but family {family} means {rule!r}")
    if activation != build.activation:
        fields.refuse("activation", f"is {activation!r}, but family {family} means {build.activation!r}")
    fields.finish()
    return build


def _pin_or_hint(fields: Fields, name: str, check: Callable[[object], str]) -> tuple[str | None, str | None]:
    value = fields.optional(name, check)
    sources = fields.optional(f"{name}_corroborations", a_count)
    if value is None and sources is not None:
        fields.refuse(f"{name}_corroborations", f"counts sources of a {name!r} that is not there")
    return (value, None) if sources is None or sources >= _ENOUGH else (None, value)


def _refuse_shared(entries: tuple[CatalogEntry, ...], top: Fields) -> None:
    """A name, a file or a digest has to lead to one entry: no two may share it."""
    seen: dict[tuple[str, ...], CatalogEntry] = {}
    for entry in entries:
        claims: list[tuple[str, ...]] = [
            ("name", entry.name),
            ("filename", entry.repo_type, entry.repo_id, entry.filename),
        ]
        if entry.sha256 is not None:
            claims.append(("sha256", entry.sha256))
        for claim in claims:
            first = seen.setdefault(claim, entry)
            if first is not entry:
                top.refuse(claim[0], f"of {entry.name!r} is that of {first.name!r} too", entry=entry.name)


def _aliases(data: Mapping[str, object], names: set[str], top: Fields) -> Mapping[str, str]:
    """Other names of checkpoints. An alias of an alias is none: it leads to a name at once."""
    aliases: dict[str, str] = {}
    for alias, name in data.items():
        if problem := _name_problem(alias):
            top.refuse("aliases", f"has {alias!r}, which is not a name ({problem})")
        if alias in names:
            top.refuse("aliases", f"has {alias!r}, which is the name of a checkpoint")
        if not isinstance(name, str) or name not in names:
            top.refuse("aliases", f"has {alias!r} for {name!r}, which is not the name of a checkpoint")
        aliases[alias] = name
    return aliases


def _label(data: object, place: int) -> str:
    name = data.get("name") if isinstance(data, dict) else None
    return repr(name) if isinstance(name, str) else f"number {place}"
