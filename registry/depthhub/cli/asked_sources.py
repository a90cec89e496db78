"""What `depthhub pull` is asked for: sources, patterns of names, licences, a lockfile; each becomes requests."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import DepthHubError, NotFoundError
from .errors import UsageError
from .options import build_options

if TYPE_CHECKING:
    from ..catalog import Catalog
    from ..steps.request import Request


class Asked(NamedTuple):
    """One source as it was written, or as a pattern, a licence or a lockfile names it; the error, if it is none."""

    text: str
    request: Request | DepthHubError


def asked_sources(args: argparse.Namespace) -> list[Asked]:
    """Each source once, in the order in which it was asked for. Raises UsageError, and LockfileError."""
    common: dict[str, Any] = {
        "cache_dir": args.cache_dir,
        "offline": args.offline,
        "refresh": args.refresh,
        "lockfile": args.lockfile,
    }
    if args.locked:
        asked = list(_all_locked(args, common))
    elif args.sources or args.all_licensed:
        asked = list(_named(args, common))
    else:
        raise UsageError("Say what to pull: sources, patterns of names, --all-licensed or --locked.")
    return [_pushing(one) for one in asked] if args.push else asked


def _all_locked(args: argparse.Namespace, common: dict[str, Any]) -> Iterator[Asked]:
    if args.sources or args.all_licensed or args.revision or any(build_options(args).values()):
        raise UsageError("--locked pulls all that the lockfile names, as it is written there, and takes no sources.")
    from ..lockfile import FILE_NAME
    from ..prewarming import locked_requests

    lockfile = args.lockfile or args.settings.lockfile or FILE_NAME
    for request in locked_requests(**{**common, "lockfile": lockfile}):
        yield Asked(str(request.source), request)


def _named(args: argparse.Namespace, common: dict[str, Any]) -> Iterator[Asked]:
    from ..catalog import Catalog
    from ..steps.request import Request

    catalog = Catalog.known(args.settings.catalog)
    texts = [*(text for source in args.sources for text in _matching(source, catalog)), *_licensed(args, catalog)]
    for text in dict.fromkeys(texts):
        if _is_pattern(text):
            yield Asked(text, NotFoundError(f"No model matches {text!r}; see `depthhub list`.", source=text))
            continue
        try:
            yield Asked(text, Request.parse(text, revision=args.revision, **build_options(args), **common))
        except DepthHubError as error:
            yield Asked(text, error)


def _is_pattern(text: str) -> bool:
    return bool(set(text) & set("*?[")) and "/" not in text


def _matching(text: str, catalog: Catalog) -> list[str]:
    """The names that a pattern means; what is none, or matches nothing, stays as it is."""
    if not _is_pattern(text):
        return [text]
    return [entry.name for entry in catalog.search(text) if entry.build is not None] or [text]


def _licensed(args: argparse.Namespace, catalog: Catalog) -> list[str]:
    if not args.all_licensed:
        return []
    wanted = {name.strip().lower() for name in args.all_licensed.split(",")}
    found = [entry.name for entry in catalog if entry.build is not None and entry.licence in wanted]
    if not found:
        known = sorted({entry.licence for entry in catalog if entry.build is not None and entry.licence})
        raise UsageError(f"No model is licensed {args.all_licensed}; the catalog has {', '.join(known)}.")
    return found


def _pushing(asked: Asked) -> Asked:
    if isinstance(asked.request, DepthHubError):
        return asked
    return asked._replace(request=asked.request._replace(settings=asked.request.settings._replace(push=True)))
