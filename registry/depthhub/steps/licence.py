"""The licence of the weights: who states it, and whether it is one of those that may be used here."""

from typing import NamedTuple

from depthhub_cache.entry import Entry
from depthhub_cache.identity import ContentHash, is_sha256

from ..catalog import Catalog
from ..errors import LicenceError
from .located import HubCheckpoint, Located
from .request import Request

UNKNOWN = "unknown"
"""What a person writes among the allowed licences to allow weights of which nobody states one."""


class Licence(NamedTuple):
    """name: in lower case, as in SPDX; None where nobody states one. stated_by: where it is stated, in words."""

    name: str | None
    stated_by: str
    note: str | None = None


def licence_of(located: Located, content_hash: ContentHash | None, request: Request) -> Licence:
    """The catalog's word, by the place or by the bytes: who uploads them again cannot change it. Else the card's.

    Where sources disagree, the catalog has the strictest reading.
    """
    known = Catalog.known(request.settings.catalog)
    by_bytes = known.by_sha256(content_hash, hints=True) if content_hash else None
    entry = by_bytes or located.entry
    if entry is not None:
        disputed = "; it is disputed, and the strictest reading counts" if entry.licence_disputed else ""
        return Licence(entry.licence, f"the catalog, of {entry.name}{disputed}", entry.licence_note)
    if not isinstance(located, HubCheckpoint):
        return Licence(None, "nobody: the catalog does not know this file")
    where = f"the card of {located.repo_id} on the Hub"
    if request.lock is not None:
        where = f"the lockfile {request.lock.path}, from {where} when it was locked"
    return Licence(located.card_licence, where if located.card_licence else f"nobody, neither the catalog nor {where}")


def licence_of_entry(entry: Entry, located: Located, request: Request) -> str | None:
    """As `licence_of` has it; else as the record has it of the same repository, where its card was not looked at."""
    about = entry.record.about
    made_of, recorded = about.get("content_hash"), about.get("licence")
    content_hash = located.content_hash or (ContentHash(str(made_of)) if is_sha256(made_of) else None)
    licence = licence_of(located, content_hash, request).name
    if licence is not None or not isinstance(located, HubCheckpoint) or located.card_asked:
        return licence
    is_its_own = (about.get("repo_type"), about.get("repo_id")) == (located.repo_type, located.repo_id)
    return recorded if is_its_own and isinstance(recorded, str) else None


def require_licence(located: Located, content_hash: ContentHash | None, request: Request) -> None:
    """Raises LicenceError where only certain licences may be used, and this is none of them."""
    allowed = request.settings.allow_licences
    if allowed is None:
        return
    licence = licence_of(located, content_hash, request)
    if (licence.name or UNKNOWN) in allowed:
        return
    note = f" {licence.note}" if licence.note else ""
    raise LicenceError(
        f"{located.source}: its licence is {licence.name or 'not known'}, as stated by {licence.stated_by}, and only "
        f"{', '.join(sorted(allowed))} may be used here (DEPTHHUB_ALLOW_LICENSES).{note} Choose another model, or add "
        f"{licence.name or UNKNOWN} if you may use it.",
        source=located.source,
        licence=licence.name,
        stated_by=licence.stated_by,
        allowed=sorted(allowed),
    )
