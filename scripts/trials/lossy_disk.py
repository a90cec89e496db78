"""A POSIX file system that keeps only what was synced: the states that a power cut may leave, at any recorded call.

- A file's data is safe up to its last sync. Of what was written since, any part may be there, in pages, and its size
  may be there before its data is: then it reads as zeroes.
- A change of names is safe once one of its folders was synced. Of those since, in the strict model, any subset may
  have happened; in the ordered one, as with a journal, all up to some point. A single rename or exchange is atomic.

Not lost here: what was synced, and the rights and times of files.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .system_calls import Call, NotModelledError

PAGE = 4096
_MOST_CONTENTS = 32

State = Mapping[str, bytes | None]
"""Paths below the root, with the content of files and None for folders."""

Names = dict[int, dict[str, int]]
"""Of each folder, the things in it by name. Files and folders are numbers; 0 is the root."""


@dataclass(frozen=True, slots=True)
class NameChange:
    """Things and the places (folder, name) that they get, None if they lose theirs; folders: all that it changes."""

    at: int
    folders: frozenset[int]
    moves: tuple[tuple[int, tuple[int, str] | None], ...]


@dataclass(slots=True)
class File:
    """before: its content at first. changes: call, offset, data; data None cuts it there. syncs: the calls that did."""

    before: bytes = b""
    changes: list[tuple[int, int, bytes | None]] = field(default_factory=list)
    syncs: list[int] = field(default_factory=list)


class History:
    """What a recording did, call by call, to a folder that held `before`, all of which was safe.

    hidden: a folder whose content matters to nobody; losses in it are drawn by chance, all others enumerated.
    """

    def __init__(self, before: State, calls: Iterable[Call], *, hidden: str) -> None:
        self.calls = tuple(calls)
        self.files: dict[int, File] = {}
        self.changes: list[NameChange] = []
        self.folder_syncs: list[tuple[int, int]] = []
        self._count = itertools.count(1)
        self._hidden = PurePosixPath(hidden)
        self.live: Names = {0: {}}
        for path, content in sorted(before.items()):
            thing = self._new(content)
            folder, name = self._place(path)
            self.live[folder][name] = thing
        self.first = _copied(self.live)
        self.visible: set[int] = set()  # folders that were, at any time, outside of the hidden one
        self._see({0})
        for at, call in enumerate(self.calls):
            self._follow(at, call)

    def end(self) -> State:
        """What lies there after all calls if nothing is lost."""
        return state_of(self.live, {thing: _written(file, len(self.calls)) for thing, file in self.files.items()})

    def _new(self, content: bytes | None) -> int:
        thing = next(self._count)
        if content is None:
            self.live[thing] = {}
        else:
            self.files[thing] = File(content)
        return thing

    def _place(self, path: str) -> tuple[int, str]:
        *above, name = PurePosixPath(path).parts
        folder = 0
        for part in above:
            folder = self.live[folder][part]
        return folder, name

    def _thing(self, path: str) -> int:
        if path == ".":
            return 0
        folder, name = self._place(path)
        return self.live[folder][name]

    def _follow(self, at: int, call: Call) -> None:
        match call.what:
            case "create":
                folder, name = self._place(call.path)
                if name not in self.live[folder]:
                    self._change(at, {self._new(b""): (folder, name)})
            case "mkdir":
                self._change(at, {self._new(None): self._place(call.path)})
            case "remove":
                self._change(at, {self._thing(call.path): None}, self._place(call.path)[0])
            case "move":
                place = self._place(call.other)
                replaced = self.live[place[0]].get(place[1])
                moves = {self._thing(call.path): place} | ({} if replaced is None else {replaced: None})
                self._change(at, moves, self._place(call.path)[0])
            case "exchange":
                one, other = self._place(call.path), self._place(call.other)
                self._change(at, {self._thing(call.path): other, self._thing(call.other): one})
            case "write" | "truncate":
                data = call.data if call.what == "write" else None
                self.files[self._thing(call.path)].changes.append((at, call.offset, data))
            case "sync":
                thing = self._thing(call.path)
                if thing in self.files:
                    self.files[thing].syncs.append(at)
                else:
                    self.folder_syncs.append((at, thing))
            case _:
                raise NotModelledError(str(call))

    def _change(self, at: int, moves: Mapping[int, tuple[int, str] | None], *left: int) -> None:
        folders = frozenset([*left, *(place[0] for place in moves.values() if place is not None)])
        change = NameChange(at, folders, tuple(moves.items()))
        _happen(self.live, change)
        self._see(folders & self.visible)
        self.changes.append(change)

    def _see(self, folders: Iterable[int]) -> None:
        """What is in a visible folder is visible, and stays so: losses may bring it back."""
        for folder in folders:
            self.visible.add(folder)
            inside = [thing for name, thing in self.live[folder].items() if thing in self.live]
            self._see(thing for thing in inside if thing not in self.visible and not self._is_hidden(thing))

    def _is_hidden(self, folder: int) -> bool:
        try:
            return self._thing(str(self._hidden)) == folder
        except KeyError:
            return False


class Cut:
    """A power cut after the first `calls` of a history.

    kept: changes of names that are safe. seen, unseen: those that may be lost, where somebody looks and where not.
    """

    def __init__(self, history: History, calls: int) -> None:
        self._history = history
        self._calls = calls
        self.kept: list[NameChange] = []
        self.seen: list[NameChange] = []
        self.unseen: list[NameChange] = []
        synced: dict[int, int] = {}
        for at, folder in history.folder_syncs:
            if at < calls:
                synced[folder] = at
        for change in history.changes:
            if change.at >= calls:
                break
            if any(synced.get(folder, -1) > change.at for folder in change.folders):
                self.kept.append(change)
            elif change.folders & history.visible:
                self.seen.append(change)
            else:
                self.unseen.append(change)

    def is_small(self, most: int) -> bool:
        """Whether all subsets of what can be lost, and be missed, are no more than `most`."""
        return 2 ** len(self.seen) <= most

    def states(self, *, most: int, draws: int, chance: random.Random) -> Iterator[State]:
        """Of the strict model: all subsets, or `most` by chance where it is not small.

        Each with nothing, all, and `draws` times some of what happened where nobody looks.
        """
        for chosen in _subsets(self.seen) if self.is_small(most) else _some_subsets(self.seen, most, chance):
            some = [[change for change in self.unseen if chance.random() < 0.5] for _ in range(draws)]
            for more in ([], self.unseen, *some):
                yield from self._with([*self.kept, *chosen, *more], chance)

    def ordered_states(self, *, chance: random.Random) -> Iterator[State]:
        """Of the ordered model: everything up to some point, which is after all that is safe."""
        everything = sorted([*self.kept, *self.seen, *self.unseen], key=_when)
        first = everything.index(self.kept[-1]) + 1 if self.kept else 0
        for length in range(first, len(everything) + 1):
            yield from self._with(everything[:length], chance)

    def _with(self, happened: list[NameChange], chance: random.Random) -> Iterator[State]:
        names = {folder: dict(self._history.first.get(folder, {})) for folder in self._history.live}
        for change in sorted(happened, key=_when):
            _happen(names, change)
        there = [thing for thing in _reachable(names) if thing in self._history.files]
        contents = [_contents(self._history.files[thing], self._calls, chance) for thing in there]
        every: Iterable[tuple[bytes, ...]] = itertools.product(*contents)
        number = 1
        for choices in contents:
            number *= len(choices)
        if number > _MOST_CONTENTS:
            every = (tuple(chance.choice(choices) for choices in contents) for _ in range(_MOST_CONTENTS))
        for content in every:
            yield state_of(names, dict(zip(there, content, strict=True)))


def state_of(names: Names, contents: Mapping[int, bytes]) -> State:
    """Paths and contents of what can be reached from the root."""
    state: dict[str, bytes | None] = {}

    def walk(folder: int, path: str) -> None:
        for name, thing in sorted(names[folder].items()):
            state[path + name] = None if thing in names else contents[thing]
            if thing in names:
                walk(thing, f"{path}{name}/")

    walk(0, "")
    return state


def read_state(root: Path) -> State:
    """What lies below a real folder."""
    return {path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}


def write_state(state: State, root: Path) -> None:
    """Make the folder `root` hold it; it must not be there."""
    root.mkdir()
    for path, content in sorted(state.items()):
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)


def _happen(names: Names, change: NameChange) -> None:
    """Things leave wherever they are: a lost change before this one may have left them elsewhere than it did then."""
    moved = {thing for thing, _ in change.moves}
    for inside in names.values():
        for name in [name for name, thing in inside.items() if thing in moved]:
            del inside[name]
    for thing, place in change.moves:
        if place is not None:
            names[place[0]][place[1]] = thing


def _reachable(names: Names) -> list[int]:
    found, left = [], [0]
    while left:
        thing = left.pop()
        found.append(thing)
        left.extend(names.get(thing, {}).values())
    return found


def _contents(file: File, calls: int, chance: random.Random) -> list[bytes]:
    """What may be in it after a cut: only what was synced, all, a beginning, zeroes, some pages of what was written."""
    safe_until = max((at for at in file.syncs if at < calls), default=-1)
    safe, full = _written(file, safe_until), _written(file, calls)
    if not any(safe_until < at < calls for at, _, _ in file.changes):
        return [full]
    zeroes = safe[: len(full)].ljust(len(full), b"\0")
    pages = range(0, len(full), PAGE)
    first, last, some = {0}, {pages[-1] if pages else 0}, {page for page in pages if chance.random() < 0.5}
    torn = [
        b"".join((full if page in there else zeroes)[page : page + PAGE] for page in pages)
        for there in (first, last, some)
    ]
    begun = [_written(file, at + 1) for at, _, _ in file.changes if safe_until < at < calls]
    return list(dict.fromkeys([safe, full, zeroes, full[: len(full) // 2], *torn, *begun[:3]]))


def _written(file: File, calls: int) -> bytes:
    content = bytearray(file.before)
    for at, offset, data in file.changes:
        if at >= calls:
            break
        if data is None:
            content = content[:offset].ljust(offset, b"\0")
        else:
            content[len(content) :] = b"\0" * (offset - len(content))
            content[offset : offset + len(data)] = data
    return bytes(content)


def _subsets(changes: list[NameChange]) -> Iterator[list[NameChange]]:
    for bits in itertools.product((True, False), repeat=len(changes)):
        yield [change for change, bit in zip(changes, bits, strict=True) if bit]


def _some_subsets(changes: list[NameChange], most: int, chance: random.Random) -> Iterator[list[NameChange]]:
    """All of them and none; each without one and each alone; then by chance."""
    first = [
        changes,
        [],
        *([change for change in changes if change is not one] for one in changes),
        *([one] for one in changes),
    ]
    yield from first[:most]
    for _ in range(most - len(first)):
        likely = chance.random()
        yield [change for change in changes if chance.random() < likely]


def _copied(names: Names) -> Names:
    return {folder: dict(inside) for folder, inside in names.items()}


def _when(change: NameChange) -> int:
    return change.at
