"""Tables, facts, JSON: what goes to stdout."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import pytest

from depthhub.cli.output import (
    age_text,
    bytes_text,
    counted,
    path_text,
    printable,
    to_json,
    write_facts,
    write_json,
    write_table,
)
from depthhub.model.config import Build


@dataclass(frozen=True)
class Holder:
    path: Path
    build: Build | None
    names: tuple[str, ...]


def test_dataclasses_paths_and_tuples_become_json(capsys):
    write_json([Holder(Path("a/b"), Build("v2", taps=(1, 2, 3, 4)), ("x",)), OrderedDict(a=None)])
    holder, mapping = json.loads(capsys.readouterr().out)
    assert holder["path"] == str(Path("a/b"))
    assert holder["build"] == {"family": "v2", "max_depth": None, "taps": [1, 2, 3, 4]}
    assert holder["names"] == ["x"]
    assert mapping == {"a": None}


class Pair(NamedTuple):
    first: Path
    second: tuple[str, ...]


def test_a_named_tuple_is_json_by_name_like_a_dataclass():
    assert to_json(Pair(Path("a"), ("x", "y"))) == {"first": "a", "second": ["x", "y"]}


def test_what_has_no_json_is_refused_rather_than_guessed():
    with pytest.raises(TypeError, match="no JSON for bytes"):
        to_json({"raw": b"\x00"})


def test_a_table_is_aligned_and_without_trailing_space(capsys):
    write_table(("NAME", "SIZE"), [("v2-vits", "99 MB"), ("a", None)])
    assert capsys.readouterr().out == "NAME     SIZE\nv2-vits  99 MB\na        -\n"


def test_a_table_of_nothing_is_nothing(capsys):
    write_table(("NAME",), [])
    assert capsys.readouterr().out == ""


def test_facts_leave_out_what_is_not_known(capsys):
    write_facts({"name": "v2-vits", "commit": None, "licence": "mit"})
    assert capsys.readouterr().out == "name     v2-vits\nlicence  mit\n"


def test_what_a_terminal_would_obey_is_shown_instead(capsys):
    write_table(("NAME", "FILE"), [("\x1b[2J\nfake  row\u202e", Path("a\x1b[0m"))])
    write_facts({"na\rme": "\x9b1m", "path": Path("b\n")})
    out, _ = capsys.readouterr()
    assert out.splitlines()[1:] == [
        r"\x1b[2J\nfake  row\u202e  a\x1b[0m",
        r"na\rme  \x9b1m",
        r"path    b\n",
    ]


@pytest.mark.parametrize("text", ["vits", "深度.pth", "é ñ ß", "مرحبا", "a\\b", "👁"])
def test_letters_and_signs_of_every_language_are_shown_as_they_are(text):
    assert printable(text) == path_text(text) == text


@pytest.mark.parametrize(
    "text", ["\0", "\t", "\n", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\ud800", "\ufeff"]
)
def test_what_has_no_shape_is_escaped(text):
    assert printable(text) == path_text(text) == text.encode("unicode_escape").decode("ascii")
    assert printable(text).isascii()


def test_a_byte_that_is_no_text_stays_in_a_path_alone():
    assert (path_text("p\udcff"), printable("p\udcff")) == ("p\udcff", r"p\udcff")


def test_one_is_one():
    assert [counted(count, "answer") for count in (0, 1, 2)] == ["0 answers", "1 answer", "2 answers"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (99_218_434, "99.2 MB"),
        (999_600_000, "1 GB"),
        (1_341_395_338, "1.34 GB"),
        (None, None),
    ],
)
def test_sizes_read_as_the_hub_shows_them(count, text):
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(minutes=1, seconds=30), "1 minute ago"),
        (timedelta(hours=5), "5 hours ago"),
        (timedelta(days=3, hours=2), "3 days ago"),
    ],
)
def test_ages_are_told_in_the_largest_unit(age, text):
    assert age_text((datetime.now(timezone.utc) - age).isoformat()) == text


@pytest.mark.parametrize("moment", ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00", "2020-01-01Z00:00:00+00:00"])
def test_a_moment_may_be_written_in_several_ways(moment):
    assert age_text(moment).endswith(" days ago")


@pytest.mark.parametrize("moment", ["", "Z", "yesterday", "2020-13-01", "\x1b"])
def test_what_is_no_moment_has_no_age(moment):
    assert age_text(moment) == "at a time that is not known"
