"""A Dockerfile, read: its stages, and their instructions in order. What is not known here is refused, never skipped."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

KNOWN = frozenset({"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "WORKDIR"})

_FLAG = re.compile(r"--([a-z]+)=(\S+)\s+")
_STAGE = re.compile(r"(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


class Instruction(NamedTuple):
    """One instruction. flags: `--from=base` and its like, in order. text: the rest, as one line."""

    name: str
    flags: tuple[tuple[str, str], ...]
    text: str

    def words(self, known: Mapping[str, str]) -> list[str]:
        """The text as words, in JSON or as a shell would split it, with the variables that are known here."""
        if self.text.startswith("["):
            return list(json.loads(self.text))
        filled = _VARIABLE.sub(lambda found: known.get(found[1] or found[2], ""), self.text)
        return shlex.split(filled)

    def command(self) -> list[str]:
        """As RUN, CMD and ENTRYPOINT mean it: JSON is taken as it is, all else goes to the shell."""
        return list(json.loads(self.text)) if self.text.startswith("[") else ["/bin/sh", "-c", self.text]


class Stage(NamedTuple):
    """From one FROM to the next. base: an image, or the name of an earlier stage."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]


def read_dockerfile(path: Path) -> list[Stage]:
    """The stages in order. Raises ValueError for an instruction that is not known here, or one before FROM."""
    stages: list[Stage] = []
    for instruction in _instructions(path.read_text(encoding="utf-8")):
        if instruction.name == "FROM":
            found = _STAGE.fullmatch(instruction.text)
            if found is None:
                raise ValueError(f"{path}: FROM {instruction.text} is not understood")
            stages.append(Stage(found[2] or str(len(stages)), found[1], ()))
        elif not stages:
            raise ValueError(f"{path}: {instruction.name} before FROM")
        else:
            last = stages[-1]
            stages[-1] = last._replace(instructions=(*last.instructions, instruction))
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        if name.upper() not in KNOWN:
            raise ValueError(f"the instruction {name} is not known here")
        flags = []
        rest = rest.strip()
        while found := _FLAG.match(rest):
            flags.append((found[1], found[2]))
            rest = rest[found.end() :]
        yield Instruction(name.upper(), tuple(flags), rest)
