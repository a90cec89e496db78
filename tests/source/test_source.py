"""What a user may write, case by case: the table of `source.py`, and what is refused with what advice."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from depthhub.errors import SourceError
from depthhub.source import CatalogName, HubFile, LocalFile, Source, parse

COMMIT = "cbbb86a30ce19b5684b7a05155dc7e6cbc7685b9"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("vitl", CatalogName("vitl")),
        ("v2-metric-hypersim-vitb", CatalogName("v2-metric-hypersim-vitb")),
        ("da3-large-1.1", CatalogName("da3-large-1.1")),
        ("VIT_L", CatalogName("VIT_L")),  # the catalog answers with a suggestion
        ("vitl@main", CatalogName("vitl", "main")),
        ("vitl@refs/pr/3", CatalogName("vitl", "refs/pr/3")),
        ("owner/repo", HubFile("owner/repo")),
        ("owner/repo@v1.0", HubFile("owner/repo", None, "v1.0")),
        ("owner/repo@feature/x", HubFile("owner/repo", None, "feature/x")),
        ("owner/repo/file.pth", HubFile("owner/repo", "file.pth")),
        ("owner/repo/dir/file.pth", HubFile("owner/repo", "dir/file.pth")),
        ("owner/repo/a file, more.pth", HubFile("owner/repo", "a file, more.pth")),
        (f"owner/repo/file.pth@{COMMIT}", HubFile("owner/repo", "file.pth", COMMIT)),
        ("owner/repo/file.pth@refs/pr/3", HubFile("owner/repo", "file.pth", "refs/pr/3")),
        ("owner/repo.pth@main", HubFile("owner/repo.pth", None, "main")),
        ("spaces/owner/repo", HubFile("owner/repo", repo_type="space")),
        ("spaces/owner/repo/x/y.pth@main", HubFile("owner/repo", "x/y.pth", "main", "space")),
        ("hf://owner/repo", HubFile("owner/repo")),
        ("hf://owner/weights.pth", HubFile("owner/weights.pth")),
        ("hf://models/owner/repo/x.pth", HubFile("owner/repo", "x.pth")),
        ("hf://owner/repo@main", HubFile("owner/repo", None, "main")),
        ("hf://owner/repo@main/x/y.pth", HubFile("owner/repo", "x/y.pth", "main")),
        ("hf://owner/repo@refs/pr/3/x.pth", HubFile("owner/repo", "x.pth", "refs/pr/3")),
        ("hf://owner/repo@refs%2Fpr%2F3/x.pth", HubFile("owner/repo", "x.pth", "refs/pr/3")),
        ("hf://owner/repo@refs/convert/a", HubFile("owner/repo", None, "refs/convert/a")),
        ("hf://owner/repo@feature%2fx/y.pth", HubFile("owner/repo", "y.pth", "feature/x")),
        ("hf://owner/repo@feature/x.pth", HubFile("owner/repo", "x.pth", "feature")),
        ("hf://spaces/owner/repo@main/x.pth", HubFile("owner/repo", "x.pth", "main", "space")),
        ("x.pth", LocalFile(Path("x.pth"))),
        ("My Model.SafeTensors", LocalFile(Path("My Model.SafeTensors"))),
        ("weights/x.ckpt", LocalFile(Path("weights/x.ckpt"))),
        ("datasets/x.bin", LocalFile(Path("datasets/x.bin"))),
        ("weights\\deep\\x.pt", LocalFile(Path("weights\\deep\\x.pt"))),
        ("/x", LocalFile(Path("/x"))),
        ("./vitl", LocalFile(Path("vitl"))),
        ("./a/b/c.pth", LocalFile(Path("a/b/c.pth"))),
        ("./x@home.pth", LocalFile(Path("x@home.pth"))),
        ("../x.pth", LocalFile(Path("../x.pth"))),
        ("./~/x.pth", LocalFile(Path("~/x.pth"))),
        (".\\x.pth", LocalFile(Path(".\\x.pth"))),
        ("\\\\server\\share\\x.pth", LocalFile(Path("\\\\server\\share\\x.pth"))),
        ("C:\\models\\x.pth", LocalFile(Path("C:\\models\\x.pth"))),
        ("c:/models/x", LocalFile(Path("c:/models/x"))),
    ],
)
def test_a_text_means(text: str, source: Source) -> None:
    assert parse(text) == source
    assert parse(str(source)) == source


@pytest.mark.parametrize("text", ["vitl", "owner/repo", "x.pth", "~/x.pth", "hf://owner/repo", "x y", "odd\udce9name"])
def test_a_path_object_is_always_a_local_file(text: str) -> None:
    source = parse(Path(text))
    assert source == LocalFile(Path(text))
    assert parse(str(source)) == source


def test_a_bytes_path_is_a_local_file_too() -> None:
    class BytesPath:
        def __fspath__(self) -> bytes:
            return b"weights/x"

    assert parse(BytesPath()) == LocalFile(Path("weights/x"))  # type: ignore[arg-type]


@pytest.mark.skipif(os.name == "nt", reason="HOME is not what Windows asks")
def test_the_home_folder_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse("~/x.pth") == LocalFile(Path("/home/someone/x.pth"))
    assert parse("~") == LocalFile(Path("/home/someone"))
    assert parse("~no-such-user/x.pth") == LocalFile(Path("~no-such-user/x.pth"))


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("vitl", CatalogName("vitl", "v1.0")),
        ("vitl@v1.0", CatalogName("vitl", "v1.0")),
        ("owner/repo/x.pth", HubFile("owner/repo", "x.pth", "v1.0")),
        ("hf://spaces/owner/repo@v1.0", HubFile("owner/repo", None, "v1.0", "space")),
    ],
)
def test_a_revision_may_be_said_apart(text: str, source: Source) -> None:
    assert parse(text, revision="v1.0") == source


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "it is empty"),
        (" vitl", "begins or ends with a space"),
        ("vitl\n", "control characters"),
        ("vit\x00l", "control characters"),
        ("./x\x7f.pth", "control characters"),
        ("./\ud800", "cannot be encoded"),
        ("x" * 5000, "longer than 4096"),
        ("depth model", "neither a name, nor a repository, nor a path"),
        ("-vitl", "neither a name"),
        (".", "neither a name"),
        ("..", "neither a name"),
        ("vit*", "neither a name"),
        ("vitl@", "a revision is missing"),
        ("@main", "neither a name"),
        ("vitl@a..b", "no .."),
        ("vitl@a b", "cannot be a revision"),
        ("vitl@-x", "cannot be a revision"),
        ("vitl@main/", "cannot be a revision"),
        ("vitl@a@b", "cannot be a revision"),
        ("vitl@x.lock", "cannot be a revision"),
        ("vitl@refs", "alone is not a revision"),
        ("vitl@" + "a" * 201, "longer than 200"),
        ("x.pth@main", "has no revision"),
        ("x@home.pth", "looks like a file"),
        ("owner/repo@main/x.pth", "the revision comes last"),
        ("owner/", "cannot be an owner or a repository"),
        ("owner/repo/", "a part of the path is empty"),
        ("owner/repo//x.pth", "a part of the path is empty"),
        ("owner//repo/x.pth", "cannot be an owner or a repository"),
        ("owner/-repo", "no - or . at either end"),
        ("owner/re--po", "no --"),
        ("owner/re..po", "no .."),
        ("owner/repo.git", ".git"),
        ("öwner/repo", "cannot be an owner"),
        ("owner/" + "r" * 97, "1 to 96"),
        ("owner/repo/../x.pth", "could leave the folder"),
        ("owner/repo/./x.pth", "could leave the folder"),
        ("owner/repo/.. /x.pth", "could leave the folder"),
        ("owner/repo/x./y.pth", "ends with a dot"),
        ("owner/repo/x\\..\\y.pth", "holds \\"),
        ("owner/repo/C:x.pth", "holds :"),
        ("owner/repo/%2e%2e/x.pth", "holds %"),
        ("owner/repo/dir/nul.pth", "device"),
        ("owner/repo/x\u202ehtp.exe", "cannot be printed"),
        ("owner/repo/" + "d" * 256, "longer than 255"),
        ("owner/repo/" + "d/" * 600 + "x", "longer than 1024"),
        ("spaces/owner", "a repository is written owner/name"),
        ("datasets/owner/repo/x.pth", "not under datasets/"),
        ("hf://datasets/owner/repo/x.pth", "not under datasets/"),
        ("models/depth/x.pth", "./models/"),
        ("hf://", "needs owner/repo"),
        ("hf://vitl", "a name of the catalog is written plainly"),
        ("hf://spaces/owner", "needs owner/repo"),
        ("hf:///etc/passwd", "cannot be an owner"),
        ("hf://owner/repo//etc/passwd", "a part of the path is empty"),
        ("hf://owner/repo@/x.pth", "a revision is missing"),
        ("hf://owner/repo@..%2F../x.pth", "cannot be a revision"),
        ("hf://owner/repo/x.pth@main", "hf://owner/repo@revision/file"),
        ("HF://owner/repo", "download the file"),
        ("s3://bucket/x.pth", "download the file"),
        ("https://example.com/owner/repo/x.pth", "download the file"),
    ],
)
def test_everything_else_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse(text)
    assert caught.value.text == text
    message = str(caught.value)
    assert advice in message
    assert "depthhub list" in message
    assert len(message) < 1000
    assert all(line.isprintable() for line in message.split("\n"))  # nothing that a terminal would obey


HUB = "https://huggingface.co"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        (f"{HUB}/owner/repo", "hf://owner/repo"),
        (f"{HUB}/owner/repo/tree/main", "hf://owner/repo@main"),
        (f"{HUB}/owner/repo/resolve/main/dir/x.pth?download=true", "hf://owner/repo@main/dir/x.pth"),
        (f"{HUB}/owner/repo/blob/refs%2Fpr%2F1/x.pth", "hf://owner/repo@refs/pr/1/x.pth"),
        (f"{HUB}/spaces/owner/repo/blob/main/x.pth", "hf://spaces/owner/repo@main/x.pth"),
        ("http://hf.co/owner/repo#readme", "hf://owner/repo"),
    ],
)
def test_a_url_of_the_hub_is_refused_with_what_to_write(url: str, meant: str) -> None:
    with pytest.raises(SourceError, match="a URL; write ") as caught:
        parse(url)
    assert str(caught.value).endswith(f"; write {meant}.")
    parse(meant)


@pytest.mark.parametrize(
    "url",
    [HUB, f"{HUB}/owner", f"{HUB}/datasets/a/b", f"{HUB}/a/b/discussions/1", f"{HUB}/a/b/resolve/main/../x.pth"],
)
def test_another_page_of_the_hub_has_no_source(url: str) -> None:
    with pytest.raises(SourceError, match="download the file"):
        parse(url)


@pytest.mark.parametrize(
    ("source", "revision", "advice"),
    [
        ("x.pth", "main", "a file on this machine has no revision"),
        (Path("x"), "main", "a file on this machine has no revision"),
        ("vitl@main", "v1.0", "'main', and revision='v1.0' was given too"),
        ("owner/repo@main", "v1.0", "'main', and revision='v1.0' was given too"),
        ("vitl", "", "a revision is missing"),
        ("vitl", "../x", "cannot be a revision"),
    ],
)
def test_a_revision_that_cannot_be_meant_is_refused(source: str | Path, revision: str, advice: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse(source, revision=revision)
    assert advice in str(caught.value)
    assert caught.value.text == str(source)


def test_what_is_neither_text_nor_path_is_the_callers_mistake() -> None:
    with pytest.raises(TypeError):
        parse(None)  # type: ignore[arg-type]


def test_the_error_survives_pickling() -> None:
    with pytest.raises(SourceError) as caught:
        parse("a b")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.text) == (str(caught.value), "a b")


def test_parsing_looks_at_no_file_and_no_network() -> None:
    code = """
import sys
from depthhub.source import parse
def refuse(event, args):
    if event in ("open", "import", "subprocess.Popen") or event.startswith(("os.", "socket.", "glob.")):
        raise SystemExit(f"{event} {args}")
sys.addaudithook(refuse)
for text in ("vitl@main", "owner/repo/x.pth@v1", "hf://spaces/owner/repo/x.pth", "x.pth", "./x.pth", "/etc/passwd"):
    parse(text)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
