"""`scripts/release upload` and `publish`, against a server that speaks GitHub's interface."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from .conftest import ROOT, TAG, Run
from .github_server import REPOSITORY, GitHubServer

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def made(packages: Path, out: Path) -> dict[str, str]:
    """A release as `manifest` leaves it, small: name -> sha256 of what is to be uploaded."""
    from releasing.assets import asset_of, sums_text

    (out / "models").mkdir()
    (out / "models" / "demo.md").write_text("# demo")
    (out / "models" / f"{'a' * 64}.safetensors").write_bytes(bytes(3_000_000))
    (out / "manifest.json").write_text("{}")
    (out / "notes.md").write_text("- The first.\n")
    files = [*packages.iterdir(), *(out / "models").iterdir(), out / "manifest.json"]
    (out / "SHA256SUMS").write_text(sums_text(asset_of(path) for path in files))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (*files, out / "SHA256SUMS")}


def test_everything_is_brought_into_a_draft_and_shown_when_it_is_whole(
    release: Run, github: GitHubServer, made: dict[str, str]
) -> None:
    assert release("upload") == 0
    assert github.release(TAG)["draft"]
    assert github.digests(TAG) == made
    assert release("publish") == 0
    there = github.release(TAG)
    assert (there["draft"], there["prerelease"], there["name"], there["body"]) == (False, False, TAG, "- The first.\n")


def test_a_second_upload_sends_nothing(release: Run, github: GitHubServer, made: dict[str, str]) -> None:
    assert release("upload") == 0
    sent = len(github.uploads())
    assert release("upload") == 0
    assert release("publish") == 0
    assert release("upload") == 0
    assert release("publish") == 0
    assert len(github.uploads()) == sent == len(made)
    assert len(github.releases) == 1


@pytest.mark.parametrize("fault", ["500", "429", "lost answer", "broken upload"])
def test_what_passes_is_tried_again_and_nothing_is_there_twice(
    fault: str, release: Run, github: GitHubServer, made: dict[str, str]
) -> None:
    github.fail(fault, "safetensors", times=2)
    github.fail(fault, f"POST /repos/{REPOSITORY}/releases")
    assert release("upload") == 0
    assert release("publish") == 0
    assert github.digests(TAG) == made
    assert len(github.releases) == 1
    if fault == "lost answer":
        assert len(github.uploads()) == len(made), "what came to its end is not sent again"


def test_what_does_not_pass_is_one_error_and_the_next_run_goes_on(
    release: Run, github: GitHubServer, made: dict[str, str], capsys
) -> None:
    github.fail("500", "demo.md", times=4)
    assert release("upload") == 1
    assert "answered 502, 4 times. Run this step again later." in capsys.readouterr().err
    done = len(set(github.uploads())) - 1
    assert done > 0
    assert release("upload") == 0
    assert github.digests(TAG) == made
    assert len(github.uploads()) == len(made) + 4


def test_an_upload_that_is_killed_leaves_a_half_asset_and_the_next_run_replaces_it(
    release: Run, github: GitHubServer, made: dict[str, str], project: Path, out: Path
) -> None:
    github.stalled_upload = threading.Event()
    paths = os.pathsep.join(str(ROOT / name) for name in ("scripts", "registry", "cache"))
    arguments = [str(project), "upload", TAG, "--repository", REPOSITORY, "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-S", "-c", _MAIN, *arguments], env={**os.environ, "PYTHONPATH": paths})
    assert github.stalled_upload.wait(30)
    process.send_signal(signal.SIGKILL)
    process.wait()
    github.stalled_upload = None
    github.goes_on.set()
    assert list(github.digests(TAG).values()) == [None], "one asset, half there"
    assert release("publish") == 1
    assert release("upload") == 0
    assert github.digests(TAG) == made
    assert release("publish") == 0


def test_another_asset_of_the_same_name_is_an_error_and_stays(
    release: Run, github: GitHubServer, made: dict[str, str], out: Path, capsys
) -> None:
    assert release("upload") == 0
    (out / "models" / "demo.md").write_text("# another")
    _list_again(out)
    assert release("upload") == 1
    assert "is in the draft with sha256" in capsys.readouterr().err
    assert github.digests(TAG) == made


def test_a_file_that_is_not_the_one_that_is_listed_is_not_uploaded(
    release: Run, github: GitHubServer, made: dict[str, str], out: Path, capsys
) -> None:
    (out / "models" / "demo.md").write_text("# another")
    assert release("upload") == 1
    assert "Run `scripts/release manifest`" in capsys.readouterr().err
    assert github.releases == []


def test_what_arrives_otherwise_than_it_was_sent_is_removed_and_told(
    release: Run, github: GitHubServer, made: dict[str, str], capsys
) -> None:
    github.fail("altered", "safetensors")
    assert release("upload") == 1
    assert "It is removed" in capsys.readouterr().err
    assert not [name for name in github.digests(TAG) if "safetensors" in name]
    assert release("publish") == 1
    assert "is not there" in capsys.readouterr().err
    assert github.release(TAG)["draft"]


def test_what_somebody_else_put_into_the_draft_stops_it(
    release: Run, github: GitHubServer, made: dict[str, str], capsys
) -> None:
    assert release("upload") == 0
    github.finish(github.new_asset(github.release(TAG), "v2-vitl.tar"), b"smuggled")
    for step in ("upload", "publish"):
        assert release(step) == 1
        assert "holds what is not listed: v2-vitl.tar" in capsys.readouterr().err
    assert github.release(TAG)["draft"]


def test_a_public_release_is_never_changed(
    release: Run, github: GitHubServer, made: dict[str, str], out: Path, capsys
) -> None:
    assert release("upload") == 0
    assert release("publish") == 0
    (out / "models" / "demo.md").write_text("# another")
    _list_again(out)
    assert release("upload") == 1
    assert "SHA256SUMS, demo.md would change it. What is public stays" in capsys.readouterr().err
    assert release("publish") == 1
    assert github.digests(TAG) == made


def test_where_github_states_no_digests_a_draft_is_filled_anew_and_not_published(
    release: Run, github: GitHubServer, made: dict[str, str], capsys
) -> None:
    github.states_digests = False
    assert release("upload") == 0
    assert release("upload") == 0
    assert github.digests(TAG) == made
    assert release("publish") == 1
    assert "sha256 None there" in capsys.readouterr().err


@pytest.mark.parametrize("commit", [None, "0" * 40])
def test_a_tag_that_is_elsewhere_on_github_stops_it(
    commit: str | None, release: Run, github: GitHubServer, made: dict[str, str], capsys
) -> None:
    if commit is None:
        del github.tags[TAG]
    else:
        github.tags[TAG] = commit
    for step in ("upload", "publish"):
        assert release(step) == 1
        assert "What was made here is not what the tag says." in capsys.readouterr().err
    assert github.releases == []


def test_two_drafts_of_one_tag_are_for_a_person_to_sort_out(
    release: Run, github: GitHubServer, made: dict[str, str], capsys
) -> None:
    told = {"tag_name": TAG, "name": TAG, "body": "", "draft": True, "prerelease": False}
    github.new_release(told)
    github.new_release(told)
    assert release("upload") == 1
    assert "There are 2 releases of v1.2.3" in capsys.readouterr().err


def test_a_draft_among_many_releases_and_assets_is_found(
    release: Run, github: GitHubServer, made: dict[str, str], out: Path
) -> None:
    for number in range(130):
        told = {"tag_name": f"v0.{number}", "name": "", "body": "", "draft": number % 2 == 0, "prerelease": False}
        github.new_release(told)
        (out / "models" / f"card-{number}.md").write_text(f"# {number}")
    _list_again(out)
    assert release("upload") == 0
    sent = len(github.uploads())
    assert release("upload") == 0
    assert release("publish") == 0
    assert len(github.uploads()) == sent == len(made) + 130


def test_a_wrong_token_is_one_clear_error_and_is_not_told(
    release: Run, github: GitHubServer, made: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "geheim")
    assert release("upload") == 1
    told = capsys.readouterr()
    assert "401 Bad credentials. Does the token have `contents: write` there?" in told.err
    assert "geheim" not in told.err + told.out
    monkeypatch.delenv("GITHUB_TOKEN")
    assert release("upload") == 1
    assert "set GITHUB_TOKEN" in capsys.readouterr().err


def test_a_token_is_sent_to_nothing_but_https(release: Run, made: dict[str, str], monkeypatch, capsys) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "geheim")
    monkeypatch.setenv("GITHUB_API_URL", "http://api.example.org")
    assert release("upload") == 1
    assert "is no https:// address" in capsys.readouterr().err


def test_a_rehearsal_uploads_nothing_and_says_what_would_be(
    release: Run, github: GitHubServer, made: dict[str, str], capsys
) -> None:
    assert release("upload", "--dry-run") == 0
    assert release("publish", "--dry-run") == 0
    told = capsys.readouterr().out
    assert all(f"would be uploaded: {name}," in told for name in made)
    assert github.requests == []


@pytest.mark.parametrize("version", ["1.2.3rc1", "1.2.3a2", "1.2.3.dev4"])
def test_a_version_before_the_final_one_is_marked_as_such(version: str) -> None:
    from releasing.publishing import is_prerelease

    assert is_prerelease(version)
    assert not is_prerelease("1.2.3")
    assert not is_prerelease("1.2.3.post1")


@pytest.mark.parametrize("name", ["a b.md", ".hidden", "-x", "ends.", "über.md", "a+b.whl", "x" * 256])
def test_a_name_that_github_would_change_cannot_be_an_asset(name: str, tmp_path: Path) -> None:
    from releasing.assets import asset_of
    from releasing.errors import ReleaseError

    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(ReleaseError, match="cannot be the name of an asset"):
        asset_of(Path(tmp_path / name))


def test_more_than_github_takes_is_told_before_anything_is_sent(tmp_path: Path, monkeypatch) -> None:
    from releasing.assets import SIZE_LIMIT, Asset, asset_of, require_together
    from releasing.errors import ReleaseError

    assert SIZE_LIMIT == 2**31 - 1
    with pytest.raises(ReleaseError, match=r"1,001 assets are more than the 1,000"):
        require_together(Asset(f"{number}.md", 1, "", tmp_path) for number in range(1001))
    with pytest.raises(ReleaseError, match=r"Two assets are called a\.md"):
        require_together([Asset("a.md", 1, "", tmp_path), Asset("A.md", 1, "", tmp_path)])
    large = tmp_path / "large"
    large.write_bytes(b"x" * 11)
    monkeypatch.setattr("releasing.assets.SIZE_LIMIT", 10)
    with pytest.raises(ReleaseError, match="has 11 bytes; an asset has 1 to 10"):
        asset_of(large)


_MAIN = """
import sys
from pathlib import Path
from releasing.__main__ import main
sys.exit(main(sys.argv[2:], root=Path(sys.argv[1])))
"""


def _list_again(out: Path) -> None:
    from releasing.assets import asset_of, sums_text

    files = [*(out / "packages").iterdir(), *(out / "models").iterdir(), out / "manifest.json"]
    (out / "SHA256SUMS").write_text(sums_text(asset_of(path) for path in files))
