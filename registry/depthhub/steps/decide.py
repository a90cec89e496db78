"""How to build the model, where shapes cannot tell: the catalog, the caller, the file's own words, in that order.

A wrong answer loads strictly and gives silently wrong depth, so a contradiction is an error, a file name alone
gives a warning, and nothing at all gives an error that says what to add.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

from depthhub_cache.identity import ContentHash

from ..catalog import Catalog, CatalogEntry
from ..checkpoint.hints import guess_from_file_name
from ..checkpoint.recipe import Recipe
from ..errors import FamilyError
from ..model.config import METRIC, Build
from .located import Located
from .request import Request


def decide(request: Request, located: Located, content_hash: ContentHash) -> Recipe:
    """The recipe of a checkpoint. Raises FamilyError where nothing tells, or two tellers contradict each other."""
    entry = located.entry or Catalog.known(request.settings.catalog).by_sha256(content_hash)
    if entry is not None:
        build = _from_catalog(request, entry)
    else:
        build = _from_caller(request, located) or _from_file(request, located)
    return Recipe(build=build, dtype=request.dtype)


def _from_catalog(request: Request, entry: CatalogEntry) -> Build:
    build = entry.require_supported()
    asked = (request.family or build.family, request.max_depth or build.max_depth)
    if asked != (build.family, build.max_depth):
        raise FamilyError(
            f"{request.source}: asked for {_words(*asked)}, but the catalog knows these weights as "
            f"{entry.name}, {_words(build.family, build.max_depth)}. Leave out family and max_depth.",
            source=str(request.source),
        )
    return build


def _from_caller(request: Request, located: Located) -> Build | None:
    """The caller's word; a maximum depth that the caller leaves out may still come from the file's own config."""
    stated = located.stated
    family = request.family or (METRIC if request.max_depth is not None else None)
    if family is None:
        return None
    if request.family is None and stated is not None and stated.family != METRIC:
        raise FamilyError(
            f"{request.source}: max_depth belongs to family v2-metric, but the file's own config says "
            f"{stated.family}. Add family='v2-metric' if you are sure.",
            source=str(request.source),
        )
    same_family = stated is not None and stated.family == family
    if family == METRIC and request.max_depth is None and not (stated and same_family):
        raise FamilyError(
            f"{request.source}: family v2-metric needs max_depth in metres, and no shape tells it: "
            "20 for models trained on Hypersim (indoor), 80 on Virtual KITTI (outdoor).",
            source=str(request.source),
        )
    if stated is not None and same_family:
        return replace(stated, max_depth=request.max_depth or stated.max_depth)
    return Build(family, request.max_depth)


def _from_file(request: Request, located: Located) -> Build:
    if located.stated is not None:
        return located.stated
    guess = guess_from_file_name(located.filename)
    if guess is None:
        raise FamilyError(
            f"{request.source}: nothing tells how to build this model; V1, V2 and V2-metric have the same keys "
            "and shapes. Say family='v1', family='v2', or family='v2-metric' with max_depth in metres "
            "(--family, --max-depth).",
            source=str(request.source),
        )
    warnings.warn(
        f"{request.source}: only the file's name suggests {_words(guess.family, guess.max_depth)}; "
        f"assumed. A wrong guess gives silently wrong depth: say family={guess.family!r}"
        + (f", max_depth={guess.max_depth:g}" if guess.max_depth else "")
        + " to confirm it.",
        UserWarning,
        stacklevel=6,
    )
    return guess


def _words(family: str, max_depth: float | None) -> str:
    return family if max_depth is None else f"{family} up to {max_depth:g} m"
