"""docs/cli-json.md says what `--json` prints: every verb, and for each what a program finds there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from .test_parser import paths

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

DOCUMENT = (Path(__file__).parents[2] / "docs" / "cli-json.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w ]+)` \| an? (list|object)\b[^|]*\| (.+) \|$", DOCUMENT, re.MULTILINE)
V2 = ("--family", "v2")


@pytest.fixture
def document(depthhub, tiny, photo, cache, tmp_path, local_hub) -> Any:
    """`document("cache list")`: what the verb prints of a cache with one entry."""
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    key = depthhub("pull", tiny, *V2, "--json").json[0]["key"]
    out = tmp_path / "out.tar"

    def of(verb: str) -> Any:
        if verb == "cache import":
            depthhub("cache", "export", key, "-o", out)
        if verb == "cache quarantine":
            (cache / "v1" / "entries" / key[:2] / key / "entry.json").write_text("damaged")
            depthhub("verify")
        arguments = {
            "list": ["vits"],
            "verify": [],
            "doctor": ["--offline"],
            "identify": [tiny],
            "lock": ["owner/repo", *V2, "-o", tmp_path / "depthhub.lock"],
            "convert": [tiny, *V2, "-o", tmp_path / "x.safetensors"],
            "predict": [photo, "-m", tiny, *V2, "--input-size", "28", "-o", tmp_path / "x.png"],
            **{name: [tiny, *V2] for name in ("info", "pull", "path")},
            **{f"cache {name}": [key] for name in ("remove", "pin", "unpin")},
            "cache gc": ["--max-size", "0", "--dry-run"],
            "cache export": [key, "-o", out],
            "cache import": [out],
        }
        outcome = depthhub(*verb.split(), *arguments.get(verb, []), "--json")
        assert outcome.code == 0, outcome.err
        return outcome.json

    return of


def test_every_verb_is_documented_once() -> None:
    assert sorted(verb for verb, _, _ in ROWS) == sorted(" ".join(path) for path in paths())


@pytest.mark.parametrize(("verb", "kind", "fields"), ROWS, ids=[verb for verb, _, _ in ROWS])
def test_the_fields_of_a_verb_are_those_that_are_documented(document, verb, kind, fields) -> None:
    found = document(verb)
    items = found if kind == "list" else [found]
    assert items
    for item in items:
        assert set(item) == set(re.findall(r"`(\w+)`", fields))


def test_the_exit_codes_of_a_table_are_codes() -> None:
    from depthhub.cli.exit_codes import ExitCode

    codes = {int(code) for code in re.findall(r"\b(\d+)(?=:| or \d+:)", DOCUMENT)}
    assert codes
    assert codes <= set(map(int, ExitCode))
