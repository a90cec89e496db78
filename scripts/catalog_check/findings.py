"""What is found of one checkpoint of the catalog: whether its pin holds, and its hints and its licence are true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from depthhub.catalog import Catalog, CatalogEntry
from depthhub.errors import AccessError, DepthHubError, NotFoundError
from depthhub.transfer.remote import Listing, RemoteFile

from .questions import Questions

Kind = Literal["broken", "confirmed", "refuted", "stated", "moved", "licence", "unknown"]
"""broken: users fail now, or soon. confirmed: a hint that the Hub states too. refuted: one that it contradicts. stated:
what the catalog leaves out. moved: the pin holds, and main has another file by now, or none. licence: the card states
another. unknown: the Hub did not answer.
"""

_A_PIN, _A_HINT = 2, 1
"""Sources: who made the catalog and the Hub; the Hub alone."""


class Finding(NamedTuple):
    """One thing that a person should know. fields: what the catalog should say instead, if that can be said."""

    name: str
    kind: Kind
    what: str
    fields: Mapping[str, str | int] = {}


def findings(entry: CatalogEntry, catalog: Catalog, questions: Questions) -> list[Finding]:
    """Empty where all is as the catalog says."""
    try:
        return [finding for finding in _findings(entry, questions) if not _is_anothers(finding, catalog)]
    except (NotFoundError, AccessError) as error:
        return [Finding(entry.name, "broken", str(error))]
    except DepthHubError as error:
        return [Finding(entry.name, "unknown", str(error))]


def _findings(entry: CatalogEntry, questions: Questions) -> Iterator[Finding]:
    main = questions.listing(entry, None)
    if main.gated:
        yield Finding(
            entry.name, "broken", f"{entry.repo_id} is gated: only accounts that ask for access get the file."
        )
    yield from _licence(entry, main)
    yield from _revision(entry, main, questions)


def _is_anothers(finding: Finding, catalog: Catalog) -> bool:
    """Whether it would give a digest to a second checkpoint; a digest leads to one, so that of a copy stays a hint."""
    owner = catalog.by_sha256(str(finding.fields.get("sha256")))
    return owner is not None and owner.name != finding.name


def _licence(entry: CatalogEntry, main: Listing) -> Iterator[Finding]:
    """The card's, against the catalog's; of a disputed one, the note says who states what."""
    card = main.licence
    if card in (None, entry.licence) or (entry.licence_disputed and f"{card}" in f"{entry.licence_note}".lower()):
        return
    what = f"The card states the licence {card}, the catalog {entry.licence or 'none'}."
    yield Finding(entry.name, "licence", what)


def _revision(entry: CatalogEntry, main: Listing, questions: Questions) -> Iterator[Finding]:
    now = _file(main, entry)
    stated = entry.revision or entry.revision_hint
    if stated is None:
        yield from _content(entry, now, {}) if now else _gone(entry, "main has no such file")
        return
    then, problem = _at(stated, entry, main, questions)
    if then is not None and entry.revision is None:
        yield from _content(entry, then, {"revision": stated, "revision_corroborations": _A_PIN})
    elif then is not None:
        yield from _content(entry, then, {})
        if now is None or now.sha256 != then.sha256:
            has = f"another file there, sha256 {now.sha256}" if now else "no such file any more"
            yield Finding(entry.name, "moved", f"The pin holds; main, at {main.commit}, has {has}.")
    elif entry.revision is not None:
        yield from _gone(entry, problem)
    elif now is None:
        yield from _gone(entry, f"{problem}, and main has no such file")
    else:
        what = f"The hinted commit is none: {problem}. Main has the file."
        yield Finding(entry.name, "refuted", what, {"revision": now.commit, "revision_corroborations": _A_HINT})
        yield from _content(entry, now, {})


def _at(revision: str, entry: CatalogEntry, main: Listing, questions: Questions) -> tuple[RemoteFile | None, str]:
    """The file at that commit with the pinned content; None, and why not."""
    try:
        listing = main if main.commit == revision else questions.listing(entry, revision)
    except NotFoundError:
        return None, f"the repository has no commit {revision}"
    file = _file(listing, entry)
    if file is None:
        return None, f"there is no such file at {revision}"
    if None not in (entry.sha256, file.sha256) and file.sha256 != entry.sha256:
        return None, f"at {revision} the file has the sha256 {file.sha256}, and the catalog pins {entry.sha256}"
    return file, ""


def _content(entry: CatalogEntry, file: RemoteFile, fields: dict[str, str | int]) -> Iterator[Finding]:
    """Of the file that the entry means. fields: what is confirmed so far."""
    if file.sha256 is None:
        yield Finding(entry.name, "unknown", f"The Hub states no sha256 of {entry.filename}; it is not kept in LFS.")
        return
    stated: dict[str, str | int] = {"sha256": file.sha256, "sha256_corroborations": _A_HINT}
    if entry.sha256_hint not in (None, file.sha256):
        what = f"The Hub states the sha256 {file.sha256} at {file.commit}, the hint is {entry.sha256_hint}."
        yield Finding(entry.name, "refuted", what, {**stated, **_size(entry, file)})
        return
    if entry.sha256 is None and entry.sha256_hint is None:
        if entry.revision is None and entry.revision_hint is None:
            stated = {"revision": file.commit, "revision_corroborations": _A_HINT, **stated}
        yield Finding(
            entry.name, "stated", "The Hub states what the catalog leaves out.", {**stated, **_size(entry, file)}
        )
    else:
        if entry.sha256_hint is not None:
            fields |= {"sha256": file.sha256, "sha256_corroborations": _A_PIN}
        fields |= _size(entry, file)
    if fields:
        yield Finding(entry.name, "confirmed", "The Hub states it, too.", fields)


def _size(entry: CatalogEntry, file: RemoteFile) -> dict[str, str | int]:
    return {} if file.size in (None, entry.size) else {"size": file.size or 0}


def _gone(entry: CatalogEntry, problem: str) -> Iterator[Finding]:
    yield Finding(entry.name, "broken", f"{entry.filename} cannot be had from {entry.repo_id}: {problem}.")


def _file(listing: Listing, entry: CatalogEntry) -> RemoteFile | None:
    return next((file for file in listing.files if file.filename == entry.filename), None)
