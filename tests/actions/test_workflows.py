"""What every workflow and action of this repository promises, beside what `scripts/check-workflows` audits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

GITHUB = Path(__file__).parents[2] / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.y*ml"))
ACTIONS = sorted(GITHUB.glob("actions/**/action.y*ml"))

_PINNED = re.compile(r"(?P<name>[\w.-]+/[\w./-]+)@(?P<commit>[0-9a-f]{40}) # v\d+\.\d+\.\d+")

every_file = pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ACTIONS], ids=lambda path: path.relative_to(GITHUB).as_posix()
)
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def test_there_are_some() -> None:
    assert {path.name for path in WORKFLOWS} >= {"ci.yml", "catalog.yml"}
    assert [path.parent.name for path in ACTIONS] == ["prewarm"]


@every_file
def test_what_it_uses_is_pinned_by_commit_with_the_version_beside_it(path: Path) -> None:
    for what in used(path.read_text(encoding="utf-8")):
        assert what.startswith("./") or _PINNED.fullmatch(what), what


def test_one_action_has_one_pin() -> None:
    """Else one of two is forgotten where a version has to be left."""
    commits: dict[str, set[str]] = {}
    for path in (*WORKFLOWS, *ACTIONS, *ACTIONS[0].parent.glob("README.md")):
        for pinned in _PINNED.finditer(path.read_text(encoding="utf-8")):
            commits.setdefault("/".join(pinned["name"].split("/")[:2]), set()).add(pinned["commit"])
    assert commits
    assert {name: found for name, found in commits.items() if len(found) > 1} == {}


@every_file
def test_no_script_holds_an_expression(path: Path) -> None:
    """Whoever names a branch or an input could write into the script; values come by the environment."""
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step["run"]


@every_workflow
def test_it_may_only_read_unless_a_job_says_what_it_writes(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] in ({}, {"contents": "read"})


@every_workflow
def test_no_job_waits_for_ever_and_no_checkout_leaves_its_token(path: Path) -> None:
    for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
        assert "timeout-minutes" in job or "uses" in job
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def used(text: str) -> list[str]:
    """What stands behind each `uses:`, with the comment."""
    return re.findall(r"^\s*(?:- )?uses:\s*(.+?)\s*$", text, re.MULTILINE)


def steps(path: Path) -> Iterator[dict[str, Any]]:
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    for job in told.get("jobs", {"action": told.get("runs")}).values():
        yield from job.get("steps", ())
