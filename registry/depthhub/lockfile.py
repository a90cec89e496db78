"""A lockfile: which models, to the byte. `depthhub lock` writes it; it is kept beside the code, and binds each load.

It is JSON: {"lockfile": 1, "models": [...]}, a model a block, a fact a line, in the order of sources and dtypes: a
change shows in a diff as what it is. `docs/lockfile.md` has the fields, `docs/lockfile.schema.json` their schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from depthhub_cache.identity import ContentHash, Key, is_sha256, make_key

from . import source as grammar
from .catalog import Catalog
from .catalog.fields import Fields, a_count, a_list, a_number, a_text, an_object, one_of, read_json, satisfying, without
from .checkpoint.recipe import Recipe
from .errors import LockfileError, NotLockedError
from .hub_names import DEFAULT_REVISION, RepoType, file_path_problem, is_commit, is_licence, repo_id_problem
from .model.config import FAMILIES, Family
from .source import CatalogName, HubFile, LocalFile, Source

FILE_NAME = "depthhub.lock"
VERSION = 1


class LockedModel(NamedTuple):
    """One model of a lockfile.

    source: what was asked for, as it is asked for again, and family, max_depth (metres): what was said with it of how
    to build it, None where nothing was. name: in the catalog, None outside of it. commit: that holds the checkpoint
    `filename`. sha256, size (bytes): of the checkpoint. licence: None where nobody states one. key: of
    the entry that `recipe` makes of the checkpoint. weights_sha256, weights_size: of the converted file.
    """

    source: str
    family: Family | None
    max_depth: float | None
    name: str | None
    repo_id: str
    repo_type: RepoType
    commit: str
    filename: str
    sha256: ContentHash
    size: int
    licence: str | None
    recipe: Recipe
    key: Key
    weights_sha256: ContentHash
    weights_size: int

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "recipe": self.recipe.to_json()}


class Lockfile(NamedTuple):
    """The models of the file `path`."""

    path: Path
    models: tuple[LockedModel, ...]

    @classmethod
    def of(cls, path: Path, models: Iterable[LockedModel]) -> Lockfile:
        """In the order of the file. Raises LockfileError where it contradicts itself."""
        ordered = tuple(sorted(models, key=lambda model: (model.source, model.recipe.dtype or "")))
        for one, other in pairwise(ordered):
            if (one.source, one.recipe.dtype) == (other.source, other.recipe.dtype):
                raise LockfileError(
                    f"Lockfile {path}: {one.source} is there twice with the same dtype. Lock it once.", path=path
                )
        weights: dict[Key, ContentHash] = {}
        for model in ordered:
            if weights.setdefault(model.key, model.weights_sha256) != model.weights_sha256:
                raise LockfileError(
                    f"Lockfile {path}: {model.source} and another source are one entry, {model.key:.12}, with "
                    "different weights_sha256. Lock them anew.",
                    path=path,
                )
        return cls(path, ordered)

    @classmethod
    def read(cls, path: Path) -> Lockfile:
        """Raises LockfileError, saying where, for a file that is none, or that contradicts itself."""
        try:
            top = _Fields(read_json(path, "lockfile", _error), path, None)
        except FileNotFoundError as error:
            raise LockfileError(
                f"There is no lockfile {path}. `depthhub lock SOURCE... -o {path.name}` writes one.", path=path
            ) from error
        version = top.required("lockfile", a_count)
        if version != VERSION:
            top.refuse("lockfile", f"is {version}; this depthhub reads version {VERSION}")
        models = top.required("models", a_list)
        top.finish()
        return cls.of(path, (_model(_Fields(data, path, _label(data, at))) for at, data in enumerate(models, 1)))

    def to_json(self) -> dict[str, Any]:
        return {"lockfile": VERSION, "models": [model.to_json() for model in self.models]}

    def to_bytes(self) -> bytes:
        """The text of the file: the same models give the same bytes."""
        return (json.dumps(self.to_json(), indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")

    def find(self, source: Source, dtype: str | None, catalog: Catalog) -> LockedModel:
        """The model that `source` means, of that dtype if there are several. Raises NotLockedError."""
        meant = self._meant(source, catalog)
        if not meant:
            held = ", ".join(dict.fromkeys(model.source for model in self.models)) or "nothing"
            raise NotLockedError(
                f"{source} is not in the lockfile {self.path}, which has {_shortened(held)}. Add it with "
                f"`depthhub lock --add {source} -o {self.path.name}`, or ask for one of those.",
                source=str(source),
                path=self.path,
            )
        meant = [model for model in meant if model.recipe.dtype == dtype] or meant
        if len({(model.commit, model.filename, model.recipe.build) for model in meant}) > 1:
            raise NotLockedError(
                f"{source} may mean several models of the lockfile {self.path}: "
                f"{', '.join(sorted({model.source for model in meant}))}. Ask for one of them.",
                source=str(source),
                path=self.path,
            )
        return meant[0]

    def by_key(self, key: Key) -> LockedModel | None:
        return next((model for model in self.models if model.key == key), None)

    def require(self, key: Key, content_hash: ContentHash, source: Source, catalog: Catalog) -> None:
        """Raises NotLockedError where `source` has no model whose entry is `key`: another recipe makes other weights.

        A file of this machine may be whatever is locked. content_hash: of the checkpoint, to tell how the file has it.
        """
        models = self.models if isinstance(source, LocalFile) else self._meant(source, catalog)
        if any(model.key == key for model in models):
            return
        recipes = " or ".join(_words(model.recipe) for model in models if model.sha256 == content_hash)
        told = f"it has it {recipes}" if recipes else f"it has no checkpoint of sha256 {content_hash:.12}"
        raise NotLockedError(
            f"{source}, as it is asked for, is not in the lockfile {self.path}: {told}. Ask for that, or lock what you "
            f"want with `depthhub lock --add {source} -o {self.path.name}` and the same options.",
            source=str(source),
            path=self.path,
        )

    def _meant(self, source: Source, catalog: Catalog) -> list[LockedModel]:
        """The models that were locked as `source`; where none was, those that it may mean."""
        meant = [model for model in self.models if _means(source, model, catalog)]
        return [model for model in meant if model.source == lockable(source, catalog)] or meant


def _means(source: Source, model: LockedModel, catalog: Catalog) -> bool:
    """Whether a user who writes `source` may mean the locked `model`."""
    if isinstance(source, CatalogName):
        return _canonical(source, catalog) == _canonical(grammar.parse(model.source), catalog)
    if not isinstance(source, HubFile) or (source.repo_type, source.repo_id) != (model.repo_type, model.repo_id):
        return False
    locked = grammar.parse(model.source)
    is_whole = isinstance(locked, HubFile) and locked.filename is None  # the repository, whose file was chosen then
    if source.filename != model.filename and not (source.filename is None and is_whole):
        return False
    at_its_branch = isinstance(locked, HubFile) and (source.revision or DEFAULT_REVISION) == locked.revision
    return at_its_branch or source.revision == model.commit


def _canonical(source: Source, catalog: Catalog) -> Source:
    if isinstance(source, CatalogName) and source.name in catalog:
        return source._replace(name=catalog.find(source.name).name)
    return source


def lockable(source: Source, catalog: Catalog) -> str:
    """How a lockfile writes a source: a name of the catalog in full, a Hub file with its branch.

    Raises UnknownModelError.
    """
    if isinstance(source, CatalogName):
        return str(source._replace(name=catalog.find(source.name).name))
    if isinstance(source, HubFile):
        return str(source._replace(revision=source.revision or DEFAULT_REVISION))
    return str(source)


def _words(recipe: Recipe) -> str:
    family = recipe.build.family
    depth = "" if recipe.build.max_depth is None else f" up to {recipe.build.max_depth:g} m"
    return f"as {family}{depth}" + (f" in {recipe.dtype}" if recipe.dtype else " in the dtype of the checkpoint")


def _shortened(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:297]}..."


def _error(message: str, path: Path, entry: str | None, field: str | None) -> LockfileError:  # noqa: ARG001
    return LockfileError(f"{message} `depthhub lock SOURCE...` writes it anew.", path=path, field=field)


class _Fields(Fields):
    """The fields of a lockfile. Whatever is wrong, somebody has edited or merged it."""

    kind, item = "Lockfile", "model"
    error_of = staticmethod(_error)


def _bytes(value: object) -> int:
    if a_count(value) >= 1 << 60:
        raise ValueError("the size of a file")
    return a_count(value)


_digest = satisfying(is_sha256, "64 hex digits in lower case")
_commit = satisfying(is_commit, "40 hex digits in lower case")


def _model(fields: _Fields) -> LockedModel:
    recipe = _recipe(fields.required("recipe", an_object), fields)
    model = LockedModel(
        source=fields.required("source", a_text),
        family=fields.present("family", one_of(FAMILIES)),
        max_depth=fields.present("max_depth", a_number),
        name=fields.optional("name", a_text),
        repo_id=fields.required("repo_id", without(repo_id_problem, "owner/name")),
        repo_type=fields.required("repo_type", one_of(_REPO_TYPES)),
        commit=fields.required("commit", _commit),
        filename=fields.required("filename", without(file_path_problem, "the path of a file in the repository")),
        sha256=ContentHash(fields.required("sha256", _digest)),
        size=fields.required("size", _bytes),
        licence=fields.optional("licence", satisfying(is_licence, "a licence in lower case, as in SPDX")),
        recipe=recipe,
        key=Key(fields.required("key", _digest)),
        weights_sha256=ContentHash(fields.required("weights_sha256", _digest)),
        weights_size=fields.required("weights_size", _bytes),
    )
    fields.finish()
    built = recipe.build
    if model.family not in (None, built.family) or model.max_depth not in (None, built.max_depth):
        fields.refuse("recipe", "is not what was said of how to build it (family, max_depth)")
    if model.key != make_key(model.sha256, recipe.to_json()):
        fields.refuse("key", "is not that of its sha256 and recipe")
    try:
        source = grammar.parse(model.source)
    except ValueError as error:
        fields.refuse("source", f"is none: {error}")
    if not (isinstance(source, CatalogName) or _is_of(model, source)):
        fields.refuse("source", "is not the repository, file and commit of its other facts")
    return model


def _is_of(model: LockedModel, source: Source) -> bool:
    """Whether a source outside of the catalog can be the locked file. One of this machine cannot."""
    return (
        isinstance(source, HubFile)
        and (source.repo_type, source.repo_id) == (model.repo_type, model.repo_id)
        and source.filename in (None, model.filename)
        and (source.revision == model.commit or not is_commit(source.revision or ""))
    )


_REPO_TYPES: tuple[RepoType, ...] = ("model", "space")


def _recipe(data: Mapping[str, Any], fields: _Fields) -> Recipe:
    try:
        recipe = Recipe.from_json(data)
    except (KeyError, TypeError, ValueError) as error:
        fields.refuse("recipe", f"is none: {error!r}")
    if recipe.to_json() != data:
        fields.refuse("recipe", "says the same in other words than `depthhub lock` writes")
    return recipe


def _label(data: object, place: int) -> str:
    source = data.get("source") if isinstance(data, dict) else None
    return repr(source) if isinstance(source, str) else f"number {place}"
