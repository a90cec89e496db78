"""Tables, facts, JSON: what goes to stdout."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from depthhub.cli.output import age_text, bytes_text, to_json, write_facts, write_json, write_table
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
