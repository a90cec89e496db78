"""The catalog is held against a Hub on loopback, as it was and as it became; a GitHub on loopback gets the report."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from catalog_check.__main__ import main
from depthhub.catalog import BUILT_IN, Catalog
from depthhub.testing import Fault, LocalHub

from ..catalogs import checkpoint
from .conftest import SCRIPTS
from .github_server import BOT, REPOSITORY, TOKEN, GitHub

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REPO, FILE, CONTENT = "owner/forest", "forest.pth", b"the weights of a forest"
GONE = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def findings(self) -> list[dict[str, Any]]:
        return json.loads(self.out)["findings"]

    @property
    def kinds(self) -> list[str]:
        return [finding["kind"] for finding in self.findings]


@pytest.fixture
def commit(local_hub: LocalHub) -> str:
    """Of the file, in a repository whose card states apache-2.0."""
    local_hub.add_file(REPO, "README.md", b"---\nlicense: apache-2.0\n---\n", lfs=False)
    return local_hub.add_file(REPO, FILE, CONTENT)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(sha256=..., ...)`: a catalog of one checkpoint, `forest`, written as ours is: a field a line."""

    def make(*, name: str = "forest", without: tuple[str, ...] = (), **facts: Any) -> Path:
        licence = {field: facts.pop(field) for field in list(facts) if field.startswith("licence")}
        entry = {**checkpoint(name, repo_id=REPO, filename=FILE, **facts), **licence}
        left = {field: value for field, value in entry.items() if field not in without}
        return write_lines(tmp_path / "catalog.json", left)

    return make


def write_lines(path: Path, *entries: dict[str, Any]) -> Path:
    about = {"about": "for a test", "version": 1, "aliases": {}}
    text = json.dumps({**about, "checkpoints": list(entries)}, indent=1)
    path.write_text(text + "\n")
    return path


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`check(catalog, "--write")`: exit code, stdout and stderr, as JSON where nothing else is asked for."""
    monkeypatch.setenv("DEPTHHUB_RETRY_AFTER_LIMIT", "1")

    def run(catalog: Path, *argv: str, json: bool = True) -> Outcome:
        code = main([*argv, "--catalog", str(catalog), *(["--json"] if json else [])])
        return Outcome(code, *capsys.readouterr())

    return run


def sha256(content: bytes = CONTENT) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_pin_that_holds_is_not_spoken_of(check, write, commit: str, local_hub: LocalHub) -> None:
    found = check(write(revision=commit, sha256=sha256(), size=len(CONTENT)), json=False)
    assert found.code == 0
    assert "1 checkpoints, 1 as the catalog says." in found.out
    assert [request.path for request in local_hub.requests] == [f"/api/models/{REPO}"]


def test_nothing_is_sent_that_would_open_a_private_repository(
    check, write, commit: str, local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_hub.tokens.add("mine")
    monkeypatch.setenv("HF_TOKEN", "mine")
    local_hub.hide(REPO)
    found = check(write(revision=commit, sha256=sha256()))
    assert (found.code, found.kinds) == (6, ["broken"])
    assert {request.token for request in local_hub.requests} == {False}


def test_a_newer_file_on_main_leaves_the_pin_as_it_is(check, write, commit: str, local_hub: LocalHub) -> None:
    moved = local_hub.add_file(REPO, FILE, b"better weights")
    found = check(write(revision=commit, sha256=sha256(), size=len(CONTENT)))
    assert (found.code, found.kinds) == (10, ["moved"])
    assert f"main, at {moved}, has another file there, sha256 {sha256(b'better weights')}" in found.findings[0]["what"]
    local_hub.remove_file(REPO, FILE)
    found = check(write(revision=commit, sha256=sha256(), size=len(CONTENT)))
    assert "has no such file any more" in found.findings[0]["what"]


def test_another_commit_with_the_same_file_is_no_news(check, write, commit: str, local_hub: LocalHub) -> None:
    local_hub.add_file(REPO, "more.txt", b"more", lfs=False)
    assert check(write(revision=commit, sha256=sha256(), size=len(CONTENT))).code == 0


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ({"revision": GONE, "sha256": "1" * 64}, f"the repository has no commit {GONE}"),
        ({"sha256": "1" * 64}, "the catalog pins 1111"),
        ({"filename": "other.pth", "sha256": "1" * 64}, "there is no such file at"),
        ({"filename": "other.pth", "revision": None}, "main has no such file"),
    ],
)
def test_a_pin_that_does_not_hold_is_broken(
    check, commit: str, tmp_path: Path, facts: dict[str, Any], what: str
) -> None:
    entry = checkpoint("forest", **{"repo_id": REPO, "filename": FILE, "revision": commit, **facts})
    found = check(write_lines(tmp_path / "catalog.json", entry))
    assert (found.code, found.kinds) == (6, ["broken"])
    assert what in found.findings[0]["what"]


def test_a_repository_that_is_gone_is_broken(check, write, local_hub: LocalHub) -> None:
    found = check(write(revision=GONE, sha256="1" * 64))
    assert (found.code, found.kinds) == (6, ["broken"])
    assert "There is no model repository owner/forest" in found.findings[0]["what"]


def test_a_gate_is_broken_since_most_users_are_refused(check, write, commit: str, local_hub: LocalHub) -> None:
    local_hub.gate(REPO)
    found = check(write(revision=commit, sha256=sha256(), size=len(CONTENT)))
    assert (found.code, found.kinds) == (6, ["broken"])
    assert "is gated" in found.findings[0]["what"]


def test_what_cannot_be_loaded_anyway_fails_nobody(check, write, local_hub: LocalHub, tmp_path: Path) -> None:
    entry = checkpoint("forest", repo_id=REPO, filename=FILE, revision=GONE)
    entry |= {"unsupported": "It is a forest."}
    found = check(write_lines(tmp_path / "c.json", {n: v for n, v in entry.items() if n not in ("build", "layout")}))
    assert (found.code, found.kinds) == (10, ["broken"])


def test_a_confirmed_hint_comes_with_the_lines_that_make_it_a_pin(check, write, commit: str) -> None:
    hinted = {"revision": commit, "revision_corroborations": 1, "sha256": sha256(), "sha256_corroborations": 1}
    found = check(write(**hinted), json=False)
    assert found.code == 10
    assert "## Hints that can become pins" in found.out
    for line in (
        f'"revision": "{commit}",',
        '"revision_corroborations": 2,',
        f'"sha256": "{sha256()}",',
        '"sha256_corroborations": 2,',
        f'"size": {len(CONTENT)},',
    ):
        assert f"  {line}\n" in found.out


def test_write_puts_them_into_the_catalog_and_touches_no_other_line(check, write, commit: str) -> None:
    hinted = {"revision": commit, "revision_corroborations": 1, "sha256": sha256(), "sha256_corroborations": 1}
    path = write(**hinted)
    before = path.read_text().splitlines()
    assert check(path, "--write").code == 0
    after = path.read_text().splitlines()
    assert [line for line in after if line not in before] == [
        '   "revision_corroborations": 2,',
        '   "sha256_corroborations": 2,',
        f'   "size": {len(CONTENT)},',
    ]
    assert len(after) == len(before)
    entry = Catalog.load(path).find("forest")
    assert (entry.revision, entry.sha256, entry.size) == (commit, sha256(), len(CONTENT))
    assert check(path).code == 0


def test_write_adds_a_line_where_there_was_none(check, write, commit: str) -> None:
    path = write(revision=commit, sha256=sha256(), without=("size",))
    assert check(path, "--write").code == 0
    assert Catalog.load(path).find("forest").size == len(CONTENT)


def test_write_leaves_a_file_in_another_form_alone(check, write, commit: str) -> None:
    path = write(revision=commit, sha256=sha256())
    text = json.dumps(json.loads(path.read_text()))
    path.write_text(text)
    found = check(path, "--write")
    assert found.code == 2
    assert "put the lines of the report into it by hand" in found.err
    assert path.read_text() == text


def test_every_checkpoint_of_our_own_catalog_can_be_written_to(tmp_path: Path) -> None:
    """As if the Hub confirmed all hints at once: the file stays as it is, but for their lines."""
    from catalog_check.findings import Finding
    from catalog_check.writing import write_confirmed

    path = tmp_path / "catalog.json"
    path.write_bytes(BUILT_IN.read_bytes())
    hinted = [e for e in Catalog.load() if e.sha256_hint and Catalog.load().by_sha256(e.sha256_hint) is None]
    made = [
        Finding(e.name, "confirmed", "", {"sha256": e.sha256_hint or "", "sha256_corroborations": 2}) for e in hinted
    ]
    assert write_confirmed(path, made) == made
    now = Catalog.load(path)
    assert [now.find(entry.name).sha256 for entry in hinted] == [entry.sha256_hint for entry in hinted]
    before, after = BUILT_IN.read_text().splitlines(), path.read_text().splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ['   "sha256_corroborations": 2,'] * len(hinted)


def test_a_hint_of_another_content_is_refuted_and_never_written(check, write, commit: str) -> None:
    path = write(revision=commit, sha256="1" * 64, sha256_corroborations=1)
    before = path.read_text()
    found = check(path, "--write")
    assert (found.code, found.kinds) == (10, ["refuted"])
    assert found.findings[0]["fields"] == {"sha256": sha256(), "sha256_corroborations": 1, "size": len(CONTENT)}
    assert path.read_text() == before


def test_a_hinted_commit_that_is_none_is_refuted_and_main_is_named(check, write, commit: str) -> None:
    found = check(write(revision=GONE, revision_corroborations=1, sha256=sha256(), size=len(CONTENT)))
    assert (found.code, found.kinds) == (10, ["refuted"])
    assert found.findings[0]["fields"] == {"revision": commit, "revision_corroborations": 1}


def test_what_the_hub_alone_states_is_a_hint_and_not_a_pin(check, write, commit: str) -> None:
    path = write()
    before = path.read_text()
    found = check(path, "--write")
    assert (found.code, found.kinds) == (10, ["stated"])
    assert found.findings[0]["fields"] == {
        "revision": commit,
        "revision_corroborations": 1,
        "sha256": sha256(),
        "sha256_corroborations": 1,
        "size": len(CONTENT),
    }
    assert path.read_text() == before


def test_the_hint_of_a_copy_stays_one_since_a_digest_leads_to_one_checkpoint(
    check, commit: str, local_hub: LocalHub, tmp_path: Path
) -> None:
    again = local_hub.add_file("owner/copy", FILE, CONTENT)
    facts = {"filename": FILE, "sha256": sha256(), "size": len(CONTENT)}
    first = checkpoint("forest", repo_id=REPO, revision=commit, **facts)
    copy = checkpoint("copy", repo_id="owner/copy", revision=again, sha256_corroborations=1, **facts)
    assert check(write_lines(tmp_path / "c.json", first, copy), "--write").code == 0


def test_a_licence_that_changed_is_told(check, write, commit: str, local_hub: LocalHub) -> None:
    pinned = {"revision": commit, "sha256": sha256(), "size": len(CONTENT)}
    found = check(write(**pinned, licence="mit"))
    assert (found.code, found.kinds) == (10, ["licence"])
    assert "The card states the licence apache-2.0, the catalog mit." in found.findings[0]["what"]


def test_of_a_disputed_licence_only_what_the_note_does_not_name_is_told(check, write, commit: str) -> None:
    pinned = {"revision": commit, "sha256": sha256(), "size": len(CONTENT)}
    stricter = {"licence": "cc-by-nc-4.0", "licence_disputed": True}
    assert check(write(**pinned, **stricter, licence_note="The card says Apache-2.0, the README another.")).code == 0
    assert check(write(**pinned, **stricter, licence_note="The README says MIT.")).kinds == ["licence"]


def test_a_space_is_asked_as_a_space(check, local_hub: LocalHub, tmp_path: Path) -> None:
    commit = local_hub.add_file("owner/demo", FILE, CONTENT, repo_type="space")
    facts = {"revision": commit, "sha256": sha256(), "size": len(CONTENT)}
    entry = checkpoint("demo", repo_id="owner/demo", repo_type="space", filename=FILE, **facts)
    assert check(write_lines(tmp_path / "c.json", entry)).code == 0


def test_a_rate_limit_ends_the_questions_and_nothing_is_claimed(check, local_hub: LocalHub, tmp_path: Path) -> None:
    entries = [checkpoint(f"forest-{n}", repo_id=f"owner/forest-{n}", filename=FILE) for n in range(4)]
    local_hub.inject(Fault.status(429, retry_after=300), times=None)
    found = check(write_lines(tmp_path / "c.json", *entries))
    assert (found.code, found.kinds) == (4, ["unknown"] * 4)
    assert len(local_hub.requests) == 1
    assert "asks to wait 300 s" in found.findings[0]["what"]
    assert "It was not asked" in found.findings[3]["what"]


def test_one_that_fails_stops_no_other(check, commit: str, local_hub: LocalHub, tmp_path: Path) -> None:
    pinned = checkpoint("b", repo_id=REPO, filename=FILE, revision=commit, sha256=sha256(), size=len(CONTENT))
    missing = checkpoint("a", repo_id="owner/missing", filename=FILE, revision=GONE)
    found = check(write_lines(tmp_path / "c.json", missing, pinned))
    assert (found.code, [finding["name"] for finding in found.findings]) == (6, ["a"])


def test_names_choose_and_a_name_that_is_none_is_said(check, write, commit: str) -> None:
    path = write(revision=commit, sha256=sha256(), size=len(CONTENT))
    assert check(path, "for*").code == 0
    found = check(path, "desert")
    assert (found.code, found.out) == (2, "")
    assert "is called desert" in found.err


def test_a_process_of_its_own_ends_with_the_code(write, commit: str, local_hub: LocalHub) -> None:
    command = [sys.executable, "-m", "catalog_check", "--catalog", str(write(revision=GONE, sha256=sha256()))]
    ran = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (6, "")
    assert ran.stdout.startswith("# The catalog, and the Hub as it is now\n")


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    with GitHub() as github:
        monkeypatch.setenv("GITHUB_API_URL", github.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield github


def test_an_issue_is_opened_then_kept_up_to_date_then_closed(
    check, write, commit: str, local_hub: LocalHub, github: GitHub
) -> None:
    others = github.add("someone", "The catalog is wrong."), github.add(BOT, None)
    path = write(revision=commit, sha256=sha256())
    assert check(path, "--issue").code == 0  # out of date: that is what the issue is for
    (issue,) = github.issues[2:]
    assert f'"size": {len(CONTENT)},' in issue["body"]
    local_hub.add_file(REPO, FILE, b"better weights")
    assert "Updated issue 3." in check(path, "--issue").err
    assert "## Newer files" in issue["body"]
    assert (len(github.issues), issue["state"]) == (3, "open")
    local_hub.add_file(REPO, FILE, CONTENT)
    write(revision=commit, sha256=sha256(), size=len(CONTENT))
    assert "Closed issue 3" in check(path, "--issue").err
    assert issue["state"] == "closed"
    assert "No findings" in check(path, "--issue").err
    assert [other["body"] for other in others] == ["The catalog is wrong.", None]


def test_an_issue_of_somebody_who_copied_our_mark_is_not_written_over(
    check, write, commit: str, github: GitHub
) -> None:
    from catalog_check.issue import _MARK

    theirs = github.add("someone", f"{_MARK} hello")
    assert "Opened issue 2." in check(write(revision=commit, sha256=sha256()), "--issue").err
    assert theirs["body"] == f"{_MARK} hello"


def test_a_broken_pin_makes_the_job_red_beside_the_issue(check, write, commit: str, github: GitHub) -> None:
    assert check(write(revision=GONE, sha256=sha256()), "--issue").code == 6
    assert "## Cannot be had any more" in github.issues[0]["body"]


def test_an_hour_without_the_hub_changes_no_issue(
    check, write, commit: str, local_hub: LocalHub, github: GitHub
) -> None:
    path = write(revision=commit, sha256=sha256())
    check(path, "--issue")
    before = dict(github.issues[0])
    local_hub.inject(Fault.status(429, retry_after=300), times=None)
    assert check(path, "--issue").code == 4
    assert github.issues == [before]


def test_where_github_refuses_it_is_said(check, write, commit: str, github: GitHub) -> None:
    github.refuse = 403
    found = check(write(revision=commit, sha256=sha256()), "--issue")
    assert found.code == 4
    assert "GitHub answered 403 to GET" in found.err
    assert "Bad credentials" in found.err
    assert TOKEN not in found.err


def test_without_a_repository_the_issue_is_refused(check, write, commit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    found = check(write(revision=commit, sha256=sha256()), "--issue")
    assert found.code == 4
    assert "--issue needs GITHUB_REPOSITORY and GITHUB_TOKEN" in found.err


@pytest.mark.network
@pytest.mark.enable_socket
def test_the_real_hub_answers_for_every_checkpoint_of_our_catalog(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--json"])
    found = Outcome(code, *capsys.readouterr())
    assert [f for f in found.findings if f["kind"] == "unknown"] == []
    assert [f for f in found.findings if f["kind"] == "broken"] == []
    assert code in (0, 10)
