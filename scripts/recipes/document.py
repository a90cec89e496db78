"""docs/deploy.md as what it tells a reader to type: its `console` blocks, in order.

A line after `$ ` is a command, with the lines that a backslash joins to it; the lines below it, if there are any, are
what it prints, or says on stderr if it prints nothing; `...` stands for
anything. A comment before a block says on which machine it is typed, which files have been carried there, and that its
last command fails:

    <!-- machine: inside; brings: models.tar depthhub.lock from outside -->
    <!-- ends: 1 -->
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"((?:<!--[^>]*-->\n)*)```console\n(.*?)```", re.DOTALL)
_NOTE = re.compile(r"(\w+): ([^;>]+?)\s*(?:;|-->)")
_HEADING = re.compile(r"^##? (.+)$", re.MULTILINE)


class Command(NamedTuple):
    """What is typed, and what has to come of it: None where the document does not say."""

    text: str
    prints: str | None

    def is_answered_by(self, output: str, said: str) -> bool:
        """Whether this is what the document shows. Blanks that line up a table do not count."""
        if self.prints is None:
            return True
        pattern = re.escape(" ".join(self.prints.split())).replace(re.escape("..."), ".*")
        return re.fullmatch(pattern, " ".join((output.strip() or said).split()), re.DOTALL) is not None


class Block(NamedTuple):
    """Commands that are typed one after the other, in one place.

    chapter: the heading above it. brings: files of the machine `origin` (None: of the first one) that are carried here.
    """

    chapter: str
    line: int
    machine: str
    brings: tuple[str, ...]
    origin: str | None
    ends: int
    commands: tuple[Command, ...]


def read_blocks(path: Path) -> list[Block]:
    """Every block. Raises ValueError for a block without a command."""
    text = path.read_text(encoding="utf-8")
    blocks, machine = [], "here"
    for found in _BLOCK.finditer(text):
        notes = dict(_NOTE.findall(found[1]))
        chapter = [heading[1] for heading in _HEADING.finditer(text, 0, found.start())][-1]
        machine = notes.get("machine", machine)
        commands = tuple(_commands(found[2]))
        line = text.count("\n", 0, found.start(2)) + 1
        if not commands:
            raise ValueError(f"{path}:{line}: a console block without a command")
        brings, _, origin = notes.get("brings", "").partition(" from ")
        ends = int(notes.get("ends", 0))
        blocks.append(Block(chapter, line, machine, tuple(brings.split()), origin or None, ends, commands))
    return blocks


def _commands(text: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        typed, *printed = re.split(r"(?<!\\)\n", part.rstrip("\n"), maxsplit=1)
        yield Command(typed, printed[0] if printed else None)
