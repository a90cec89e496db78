"""A table of renaming rules that runs both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from .account import account_error
from .joined import Joined, Weight, whole
from .pattern import Pattern

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Cut:
    """How one tensor of the original layout is several of the other: cut along `dim`.

    first: length of the first of two parts; None: the parts are of equal length. Cutting gives views, not copies.
    """

    dim: int
    first: int | None = None

    def apart(self, tensor: Tensor, parts: int) -> Sequence[Tensor]:
        """Raises ValueError where the tensor cannot be cut so."""
        length = tensor.shape[self.dim] if tensor.dim() > self.dim else 0
        if length < parts or (self.first is None and length % parts):
            raise ValueError(f"not to be cut into {parts} along dimension {self.dim}")
        lengths = self._lengths(length, parts)
        starts = accumulate(lengths, initial=0)
        return [tensor.narrow(self.dim, start, count) for start, count in zip(starts, lengths, strict=False)]

    def together(self, parts: Sequence[Tensor]) -> Joined:
        """Raises ValueError where the parts do not fit together, or are not those that `apart` gives."""
        joined = Joined(tuple(parts), self.dim)
        lengths = [part.shape[self.dim] for part in parts]
        if lengths != self._lengths(sum(lengths), len(parts)):
            raise ValueError(f"the parts have the lengths {', '.join(map(str, lengths))} along dimension {self.dim}")
        return joined

    def _lengths(self, length: int, parts: int) -> list[int]:
        return [length // parts] * parts if self.first is None else [self.first, length - self.first]


Row = tuple[str, str] | tuple[str, tuple[str, ...], Cut]
"""A pattern of the original layout, and that of the other; or the patterns of its parts, and how it is cut."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """One tensor of the original layout, and the one or several that it is in the other."""

    original: str
    others: tuple[str, ...]
    cut: Cut | None


class Table:
    """Rows, of which the first that fits a name counts. A name is renamed only where the way back leads to it again."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rules = [_Rule(*row) for row in rows]

    def of_original(self, name: str) -> Renaming | None:
        """What happens to `name` of the original layout; None where no row knows it."""
        there = self._there(name)
        return there if there and all(self._back(other) == there for other in there.others) else None

    def of_other(self, name: str) -> Renaming | None:
        """What happens to `name` of the other layout; None where no row knows it."""
        back = self._back(name)
        return back if back and self._there(back.original) == back else None

    def from_original(self, tensors: Mapping[str, Weight], *, path: Path) -> dict[str, Weight]:
        """`tensors` under the other names, in the same order, cut where a row says so.

        Raises UnknownKeysError that lists all that no row knows. `path` is the file that they came from.
        """
        renamed: dict[str, Weight] = {}
        unexpected, misshapen = [], []
        for name, weight in tensors.items():
            renaming = self.of_original(name)
            if renaming is None:
                unexpected.append(name)
            elif renaming.cut is None:
                renamed[renaming.others[0]] = weight
            else:
                try:
                    parts = renaming.cut.apart(whole(weight), len(renaming.others))
                except ValueError as error:
                    misshapen.append(f"{name}: {error}")
                else:
                    renamed.update(zip(renaming.others, parts, strict=True))
        if unexpected or misshapen:
            raise account_error(path, _UNKNOWN, unexpected=unexpected, misshapen=misshapen)
        return renamed

    def to_original(self, tensors: Mapping[str, Weight], *, path: Path) -> dict[str, Weight]:
        """The way back: `tensors` of the other layout under their original names, parts joined.

        Raises UnknownKeysError that lists all that no row knows, and all parts that are missing or do not fit.
        """
        restored: dict[str, Weight] = {}
        unexpected, missing, misshapen = [], [], []
        for name, weight in tensors.items():
            renaming = self.of_other(name)
            if renaming is None:
                unexpected.append(name)
            elif renaming.cut is None:
                restored[renaming.original] = weight
            elif renaming.original not in restored:
                absent = [other for other in renaming.others if other not in tensors]
                missing += [other for other in absent if other not in missing]
                if not absent:
                    parts = [whole(tensors[other]) for other in renaming.others]
                    try:
                        restored[renaming.original] = renaming.cut.together(parts)
                    except ValueError as error:
                        misshapen.append(f"{' and '.join(renaming.others)}: {error}")
        if unexpected or missing or misshapen:
            raise account_error(path, _UNKNOWN, unexpected=unexpected, missing=missing, misshapen=misshapen)
        return restored

    def _there(self, name: str) -> Renaming | None:
        for rule in self._rules:
            if (blanks := rule.original.match(name)) is not None:
                return Renaming(name, tuple(other.fill(blanks) for other in rule.others), rule.cut)
        return None

    def _back(self, name: str) -> Renaming | None:
        for rule in self._rules:
            for other in rule.others:
                if (blanks := other.match(name)) is not None:
                    others = tuple(pattern.fill(blanks) for pattern in rule.others)
                    return Renaming(rule.original.fill(blanks), others, rule.cut)
        return None


_UNKNOWN = "not the tensors of a Depth-Anything model, by their names."


class _Rule:
    def __init__(self, original: str, other: str | tuple[str, ...], cut: Cut | None = None) -> None:
        self.original = Pattern(original)
        self.others = tuple(Pattern(text) for text in ((other,) if isinstance(other, str) else other))
        self.cut = cut
