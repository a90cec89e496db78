"""What works in a cache and what does not: facts, then experiments; and what they decide is remembered."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CacheError
from ..filesystem import FileSystem, Handling, LockKind, file_system_of, ref_name
from ..staging import Staging
from . import probes, surroundings
from .probes import Finding, State, Witnessed

if TYPE_CHECKING:
    from ..store import Store
    from ..tier import Tier

_NEEDED = (probes.folder_rename, probes.file_rename)
_USEFUL = (probes.exchange_of_names, probes.folder_sync, probes.symbolic_links, probes.letter_case, probes.clock)

_SHARE_LOCKS = "Mount it so that locks are shared (NFS: without nolock and local_lock; Lustre: with flock)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One cache. handling: how it is treated from now on."""

    path: Path
    file_system: FileSystem
    handling: Handling
    findings: tuple[Finding, ...]


def examine(store: Store) -> Examination:
    """Examine the store's own tier, by experiments where it can be written, or could be made.

    Takes about a second. What is found decides how this machine treats the cache from now on, if there is one to note
    it in: none is made. Never raises for what is wrong with the cache.
    """
    root, testimony, experiments = store.root, None, []
    try:
        with _workplace(store) as staging:
            staging.add("written", b"\0" * 4096)
            testimony = _testimony(staging)
            experiments = [_finding(probe, staging, if_it_fails="broken") for probe in _NEEDED]
            experiments += [_finding(probe, staging, if_it_fails="unknown") for probe in _USEFUL]
        writing = Finding("writing", "good", "Files can be written and brought to the disk.")
    except OSError as error:
        writing = _not_writable(store, error)
    system = file_system_of(root)
    handling, deciding = _decide(system, testimony)
    if testimony is not None and os.path.lexists(root):
        _remember(store, system, handling)
    about = (surroundings.folder(root), writing, surroundings.file_system(system), surroundings.space(root))
    return Examination(path=root, file_system=system, handling=handling, findings=(*about, *deciding, *experiments))


def examine_below(root: Path) -> Examination:
    """Examine a cache that is only read. Nothing is written."""
    system = file_system_of(root)
    handling = Handling(system.lock_kind, system.should_map)
    findings = (surroundings.reading(root), surroundings.file_system(system), _mapping(system, None))
    return Examination(path=root, file_system=system, handling=handling, findings=findings)


def _workplace(store: Store) -> AbstractContextManager[Staging]:
    """Where the experiments are made: in the cache, or in the nearest folder above where that is still to come."""
    if os.path.lexists(store.root):
        return store.stage()
    return Staging(next(filter(os.path.isdir, store.root.parents), store.root))


def _finding(probe: Callable[[Staging], Finding], staging: Staging, *, if_it_fails: State) -> Finding:
    try:
        return probe(staging)
    except OSError as error:
        return Finding(probe.__name__.replace("_", " "), if_it_fails, f"The experiment failed: {error}")


def _testimony(staging: Staging) -> Witnessed:
    try:
        return probes.ask_a_witness(staging)
    except OSError:
        return Witnessed()


def _decide(system: FileSystem, testimony: Witnessed | None) -> tuple[Handling, tuple[Finding, ...]]:
    """How the cache is to be treated, and the findings that say so."""
    if testimony is None:
        return Handling(system.lock_kind, system.should_map), (_mapping(system, None),)
    locks, finding = _locks(system, testimony)
    mapped = system.should_map and testimony.map is not False
    return Handling(locks, mapped), (finding, _mapping(system, testimony.map))


def _locks(system: FileSystem, testimony: Witnessed) -> tuple[LockKind, Finding]:
    name = "locks"
    if testimony.flock is None and testimony.soft is None:
        return system.lock_kind, Finding(name, "unknown", "No other process could be asked whether a lock excludes it.")
    if testimony.flock and system.lock_kind == "flock":
        also = "; whether it excludes those of other machines, only they can tell" if system.is_network else ""
        return "flock", Finding(name, "good", f"A lock excludes other processes of this machine{also}.")
    if testimony.soft:
        if testimony.flock:
            what = "The system's locks are a matter of each machine alone here"
        else:
            what = "The system's locks exclude nobody here"
        return "soft", Finding(
            name,
            "degraded",
            f"{what}, so files that exist are used in their place: one that a killed process leaves may be waited for.",
            _SHARE_LOCKS if system.is_network else None,
        )
    if testimony.flock:
        return "flock", Finding(name, "degraded", "A lock excludes other processes of this machine alone.")
    return "none", Finding(
        name,
        "degraded",
        "No lock excludes other processes: two may make the same entry at once. One of them then worked in vain; "
        "nothing is wrong.",
        "Prewarm the cache by one process before many start (`depthhub pull NAME`).",
    )


def _mapping(system: FileSystem, works: bool | None) -> Finding:
    name = "mapping"
    if works is False:
        return Finding(name, "degraded", "Files cannot be mapped, so weights are read: loading takes longer.")
    if not system.should_map:
        return Finding(
            name,
            "degraded",
            "Weights are read and not mapped: here, each mapped page may be a question to a server.",
            "A cache on a local disk loads faster; DEPTHHUB_MAP_WEIGHTS=1 maps all the same.",
        )
    return Finding(name, "good", "Weights are mapped into memory.")


def _not_writable(store: Store, error: OSError) -> Finding:
    """Broken, unless there is something in it, or below it: then it serves as in an image, read and never written."""
    serves = any(map(_holds_something, store.tiers))
    state: State = "degraded" if serves else "broken"
    then = " What is there can be loaded; nothing can be added." if serves else ""
    return Finding("writing", state, f"{error}{then}")


def _holds_something(tier: Tier) -> bool:
    with suppress(OSError):
        return next(tier.keys(), None) is not None
    return False


def _remember(store: Store, system: FileSystem, handling: Handling) -> None:
    if system.device is None:
        return
    with suppress(CacheError):  # the facts decide then, as before
        store.remember(ref_name(system.device), {"locks": handling.locks, "map": handling.map, "type": system.type})
