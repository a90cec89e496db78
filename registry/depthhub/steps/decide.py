"""How to build the model, where shapes cannot tell: the catalog, the caller, the file's own words, in that order.

A wrong answer loads strictly and gives silently wrong depth. So contradictions are errors, but where a caller outranks
a config.json: that is a warning, as is a file name that alone decides. Nothing at all is an error that says what to
add.
"""

from __future__ import annotations

import logging
import warnings

from depthhub_cache.identity import ContentHash

from ..catalog import Catalog, CatalogEntry
from ..checkpoint.recipe import Recipe
from ..errors import FamilyError
from ..hub_names import DEFAULT_REVISION
from ..model.config import METRIC, Build
from ..source import CatalogName, HubFile
from .located import HubCheckpoint, Located
from .request import Request
from .stated import Stated

log = logging.getLogger("depthhub")


def decide(request: Request, located: Located, content_hash: ContentHash) -> Recipe:
    """The recipe of a checkpoint. Raises FamilyError where nothing tells, or two tellers contradict each other."""
    entry = _entry(request, located, content_hash)
    if entry is not None:
        build = _confirmed(request, entry.require_supported(), f"the catalog knows these weights as {entry.name},")
    elif (stated := located.stated) is not None and stated.config is None and stated.build is not None:
        build = _confirmed(request, stated.build, stated.teller)
    else:
        build = _from_caller(request, located.stated) or _from_surroundings(request, located)
    return Recipe(build=build, dtype=request.dtype)


def _entry(request: Request, located: Located, content_hash: ContentHash) -> CatalogEntry | None:
    """The catalog's entry of these weights: by their place, and by their bytes, which must not disagree."""
    by_place, by_bytes = located.entry, Catalog.known(request.settings.catalog).by_sha256(content_hash)
    if by_place is None or by_bytes is None or by_place is by_bytes:
        if by_place is not None and by_place.sha256 not in (None, content_hash):
            log.warning(
                "%s is not the file that the catalog pins as %s (sha256 %.12s, not %.12s); it is built the same way",
                *(request.source, by_place.name, content_hash, by_place.sha256),
            )
        elif by_place is not None and by_bytes is None and _is_of_another_commit(request, located, by_place):
            log.warning(
                "%s is not at the commit that the catalog knows as %s; it is built the same way",
                *(request.source, by_place.name),
            )
        return by_bytes or by_place
    named, known = by_place.require_supported(), by_bytes.require_supported()
    if named != known:
        raise FamilyError(
            f"{request.source}: the catalog names this file {by_place.name}, {_words(named)}, but its bytes "
            f"are those of {by_bytes.name}, {_words(known)}. Ask for the name that you mean.",
            source=str(request.source),
        )
    return by_bytes


def _is_of_another_commit(request: Request, located: Located, entry: CatalogEntry) -> bool:
    """Or of another branch or tag, where the catalog pins nothing."""
    if entry.sha256 is not None or not isinstance(located, HubCheckpoint):
        return False
    if entry.revision is not None:
        return located.commit != entry.revision
    asked = request.source.revision if isinstance(request.source, CatalogName | HubFile) else None
    return asked not in (None, DEFAULT_REVISION, entry.revision_hint)


def _confirmed(request: Request, build: Build, teller: str) -> Build:
    """A `build` that nobody may contradict. The caller may repeat it."""
    asked = (request.family or build.family, request.max_depth or build.max_depth)
    if asked != (build.family, build.max_depth):
        raise FamilyError(
            f"{request.source}: asked for {_words_of(*asked)}, but {teller} {_words(build)}. "
            "Leave out family and max_depth.",
            source=str(request.source),
        )
    return build


def _from_caller(request: Request, stated: Stated | None) -> Build | None:
    """The caller's word; what the caller leaves out may still come from the config.json."""
    if request.family is None and request.max_depth is None:
        return None
    told = stated.build if stated is not None else None
    family = request.family or METRIC
    if request.family is None and told is not None and told.family != METRIC:
        raise FamilyError(
            f"{request.source}: max_depth belongs to family v2-metric, but {_stated(stated)}. "
            "Add family='v2-metric' if you are sure.",
            source=str(request.source),
        )
    if told is not None and told.family == family:
        build = Build(family, request.max_depth or told.max_depth, told.taps)
    elif family == METRIC and request.max_depth is None:
        raise FamilyError(
            f"{request.source}: family v2-metric needs max_depth in metres, and no shape tells it: "
            "20 for models trained on Hypersim (indoor), 80 on Virtual KITTI (outdoor).",
            source=str(request.source),
        )
    else:
        build = Build(family, request.max_depth)
    if stated is not None and told != build:
        warn(f"{request.source}: built as {_words(build)}, as you say; {_stated(stated)}.")
    return build


def _from_surroundings(request: Request, located: Located) -> Build:
    """What config.json and file name say, where nobody who knows has spoken."""
    from ..checkpoint.hints import guess_from_file_name

    guess = guess_from_file_name(located.filename)
    told = located.stated.build if located.stated is not None else None
    if located.stated is not None and guess is not None and (told is None or told._replace(taps=None) != guess):
        raise FamilyError(
            f"{request.source}: {_stated(located.stated)}, and its name suggests {_words(guess)}. "
            f"Say which: {' or '.join(_say(build) for build in (told, guess) if build)}.",
            source=str(request.source),
        )
    if told is not None:
        return told
    if guess is None:
        otherwise = f" ({_stated(located.stated)})" if located.stated is not None else ""
        raise FamilyError(
            f"{request.source}: nothing tells how to build this model{otherwise}; V1, V2 and V2-metric have the same "
            "keys and shapes. Say family='v1', family='v2', or family='v2-metric' with max_depth in metres "
            "(--family, --max-depth).",
            source=str(request.source),
        )
    warn(
        f"{request.source}: only the file's name suggests {_words(guess)}; assumed. A wrong guess gives silently wrong "
        f"depth: say {_say(guess)} to confirm it."
    )
    return guess


def warn(message: str) -> None:
    """Of a model that may be another one than was meant."""
    warnings.warn(message, UserWarning, stacklevel=8)


def _stated(stated: Stated | None) -> str:
    """What a config.json says, as a clause."""
    if stated is not None and stated.problem is not None:
        return f"its config.json cannot be read: {stated.problem}"
    said = stated.build if stated is not None else None
    return f"its config.json says {'a model that cannot be built' if said is None else _words(said)}"


def _words(build: Build) -> str:
    return _words_of(build.family, build.max_depth)


def _words_of(family: str, max_depth: float | None) -> str:
    return family if max_depth is None else f"{family} up to {max_depth:g} m"


def _say(build: Build) -> str:
    return f"family={build.family!r}" + (f", max_depth={build.max_depth:g}" if build.max_depth else "")
