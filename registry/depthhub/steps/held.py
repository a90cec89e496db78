"""What several sources ask for and is there already stays, while others of them are made."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress

from depthhub_cache.identity import Key

from ..errors import DepthHubError
from ..progress import silent
from ..source import LocalFile
from .find import want
from .request import Request
from .resolve import resolve as locate_checkpoint


def lease_what_is_there(requests: Sequence[Request], leases: ExitStack) -> None:
    """Of several sources, as far as it is known without asking: what is made for one may leave no room for another.

    What is missing is made, or fails, in its turn.
    """
    for request in requests if len(requests) > 1 else ():
        settings = request.settings
        if isinstance(request.source, LocalFile) or (settings.max_size, settings.max_age) == (None, None):
            continue
        with suppress(DepthHubError):
            store, here = settings.open_store(), request._replace(refresh=False, asks=False, report=silent)
            wanted = want(locate_checkpoint(here, store), here)
            entry = None if wanted.key is None else store.get(wanted.key)
            if entry is not None:
                leases.enter_context(store.lease(entry))
            may_be_made = entry is None or request.verify or request.lock is not None  # which look at every byte
            if may_be_made and wanted.located.content_hash is not None:  # of a kept original, it may be
                leases.enter_context(store.lease(Key(wanted.located.content_hash)))
