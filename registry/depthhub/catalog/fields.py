"""JSON that other people write, read strictly: an object field by field, one error that says where the breach is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from ..errors import CatalogError, DepthHubError, NotFoundError

T = TypeVar("T")

LIMIT = 8 << 20
"""Bytes of a file that are read at most; a checkpoint takes some seven hundred."""


ErrorOf = Callable[[str, Path, str | None, str | None], DepthHubError]
"""The error for a message, a path, the entry and the field that are meant."""


def catalog_error(message: str, path: Path, entry: str | None = None, field: str | None = None) -> CatalogError:
    return CatalogError(message, path=path, entry=entry, field=field)


def read_json(path: Path, kind: str = "catalog", error_of: ErrorOf = catalog_error) -> object:
    """What is in the file. Raises NotFoundError without it, the error of its kind where it is not JSON."""
    try:
        with path.open("rb") as file:
            text = file.read(LIMIT + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no {kind} {path}.", source=str(path)) from error
    except OSError as error:
        raise error_of(f"{kind.title()} {path} cannot be read: {error.strerror}.", path, None, None) from error
    if len(text) > LIMIT:
        raise error_of(f"{kind.title()} {path} is larger than {LIMIT:,} bytes, so it is none.", path, None, None)
    try:
        data: object = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise error_of(f"{kind.title()} {path} is not JSON as it should be: {error}.", path, None, None) from error
    return data


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice in one object")
    return data


class Fields:
    """One JSON object that is read field by field; a field that nobody asked for is an error at the end."""

    kind, item = "Catalog", "checkpoint"
    error_of: ErrorOf = staticmethod(catalog_error)

    def __init__(self, data: object, path: Path, entry: str | None, *, within: str = "") -> None:
        self.path = path
        self.entry = entry
        self._within = within
        if not isinstance(data, dict):
            self._raise("", f"has to be an object, not {_shown(data)}")
        self._left: dict[str, object] = dict(data)

    def required(self, name: str, check: Callable[[object], T]) -> T:
        value = self.optional(name, check)
        if value is None:
            self.refuse(name, "is missing")
        return value

    def optional(self, name: str, check: Callable[[object], T]) -> T | None:
        value = self._left.pop(name, None)
        if value is None:
            return None
        try:
            return check(value)
        except ValueError as error:
            self.refuse(name, f"has to be {error}, not {_shown(value)}")

    def present(self, name: str, check: Callable[[object], T]) -> T | None:
        """It may be null, and may not be left out."""
        if name not in self._left:
            self.refuse(name, "is missing")
        return self.optional(name, check)

    def finish(self) -> None:
        for name in self._left:
            self.refuse(name, "is not known; is it misspelt?")

    def refuse(self, name: str, problem: str, *, entry: str | None = None) -> NoReturn:
        self._raise(f"{self._within}{name}", problem, entry)

    def _raise(self, field: str, problem: str, entry: str | None = None) -> NoReturn:
        entry = entry or self.entry
        where = f"{self.item} {entry}: " if entry else ""
        what = f"field {field!r} {problem}" if field else problem
        raise self.error_of(f"{self.kind} {self.path}: {where}{what}.", self.path, entry, field or None)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# Checks of one value: each gives the value, typed, or raises a ValueError that says what it has to be.


def a_text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text")
    return value


def a_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004  # a slip in a file, not in a call
    return value


def a_count(value: object) -> int:
    if type(value) is not int or value < 1:  # exactly: a bool is an int too
        raise ValueError("a whole number above 0")
    return value


def a_number(value: object) -> float:
    if type(value) is not int and type(value) is not float:
        raise ValueError("a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number of this world") from None


def an_object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError("an object")  # noqa: TRY004  # as above
    return value


def a_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError("a list")  # noqa: TRY004  # as above
    return value


def one_of(choices: tuple[T, ...]) -> Callable[[object], T]:
    def check(value: object) -> T:
        for choice in choices:
            if value == choice:
                return choice
        raise ValueError(f"one of {', '.join(map(str, choices))}")

    return check


def satisfying(holds: Callable[[str], bool], what: str) -> Callable[[object], str]:
    """A text of which `holds` is true."""

    def check(value: object) -> str:
        if not isinstance(value, str) or not holds(value):
            raise ValueError(what)
        return value

    return check


def without(problem_of: Callable[[str], str | None], what: str) -> Callable[[object], str]:
    """A text in which `problem_of` finds no problem."""

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(what)  # noqa: TRY004  # as above
        if problem := problem_of(value):
            raise ValueError(f"{what} ({problem})")
        return value

    return check
