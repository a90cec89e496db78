"""Every write into the store goes through `disk.py`: the package itself is read to see that none is elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import depthhub_cache

PACKAGE = Path(depthhub_cache.__file__).parent
ONE_WRITER = "disk.py"
STAGED = "staging.py"
"""Fills, empties and syncs the files that `disk.py` has made for it, under names that nobody reads."""
PROBES = "doctor/probes.py"
"""Tries in a staging directory what the system can do."""

REMOTE = "remote/objects.py"
"""Reads and writes what lies in a remote store, by fsspec; a remote that is a folder is written by the one writer."""

ONE_CALL = "exchange.py"
"""Opens nothing: it lends the staging helper a system call that Python has no name for."""

ELSEWHERE = (ONE_WRITER, ONE_CALL, STAGED, PROBES, REMOTE)

_CHANGES = {
    *("rename", "renames", "replace", "link", "symlink", "symlink_to", "hardlink_to", "truncate", "ftruncate"),
    *("mkdir", "makedirs", "rmdir", "removedirs", "unlink", "remove", "rmtree", "touch", "mkfifo", "mknod"),
    *("write_text", "write_bytes", "pwrite", "sendfile", "chmod", "utime", "chown", "fchmod", "sync", "fsync"),
    *("copy", "copy2", "copyfile", "copytree", "move", "mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryFile"),
}
"""Names of os, pathlib, shutil and tempfile that change a file system."""

_READING_WITHOUT_WAITING = "flags | getattr(os, 'O_NONBLOCK', 0)"
"""In an opener: what `open` itself asks for, which is looked at there."""

_STRING_METHODS = {"replace"}


def writes_in(source: str) -> list[str]:
    """Every call in `source` that could write, with its line."""
    tree = ast.parse(source)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _writes(node, own)
    ]


def _writes(call: ast.Call, own: set[str]) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name in ("open", "fdopen", "FileIO"):
        return not _opens_for_reading(call, owner)
    if name in _CHANGES:
        if owner in ("store", "self", "re") or (not owner and name in own):
            return False
        # str.replace takes two texts, Path.replace one path
        return not (name in _STRING_METHODS and owner != "os" and len(call.args) == 2)
    return False


def _opens_for_reading(call: ast.Call, owner: str) -> bool:
    modes = [keyword.value for keyword in call.keywords if keyword.arg in ("mode", "flags")]
    if owner == "os":
        modes += call.args[1:2]
        return [ast.unparse(mode) for mode in modes] in (["os.O_RDONLY"], [_READING_WITHOUT_WAITING])
    modes += call.args[:1] if owner not in ("", "io") else call.args[1:2]
    return all(isinstance(mode, ast.Constant) and not set(str(mode.value)) & set("wxa+") for mode in modes)


def _files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize(
    "path",
    [path for path in _files() if path.relative_to(PACKAGE).as_posix() not in ELSEWHERE],
    ids=lambda path: path.name,
)
def test_no_function_but_those_of_the_one_writer_writes(path: Path) -> None:
    assert writes_in(path.read_text()) == []


def test_staging_writes_only_into_files_that_the_one_writer_made() -> None:
    calls = {found.partition(": ")[2] for found in writes_in((PACKAGE / STAGED).read_text())}
    calls.discard("self._digest.copy()")  # in memory
    assert calls == {"self._file.truncate()", "os.fsync(self._file.fileno())"}


def test_the_probes_change_nothing_but_their_own_staging_directory() -> None:
    calls = {found.partition(": ")[2] for found in writes_in((PACKAGE / PROBES).read_text())}
    assert calls == {"os.fsync(descriptor)", "(staging.path / 'link').symlink_to(target)"}


def test_of_a_remote_store_only_files_of_fsspec_are_opened() -> None:
    calls = {found.partition(": ")[2] for found in writes_in((PACKAGE / REMOTE).read_text())}
    assert calls == {
        "self._files.open(self._path(name), mode, block_size=PART, autocommit=False, **noted)",
        "self._files.open(path, 'rb', block_size=_PIECE, cache_type='none')",
    }


def test_the_one_system_call_that_is_elsewhere_is_used_by_the_one_writer_alone() -> None:
    users = [path.name for path in _files() if "import exchange" in path.read_text()]
    assert users == [ONE_WRITER]
    assert len(writes_in((PACKAGE / ONE_CALL).read_text())) == 1


def test_the_one_writer_opens_files_for_writing_only_where_there_is_none(tmp_path: Path) -> None:
    source = (PACKAGE / ONE_WRITER).read_text()
    opened = [found for found in writes_in(source) if "open(" in found]
    assert len(opened) == 2
    assert all("'xb'" in found for found in opened)


@pytest.mark.parametrize(
    "line",
    [
        "open('x', 'w')",
        "open('x', mode='ab')",
        "open('x', 'r+b')",
        "open('x', mode)",
        "path.open('xb')",
        "path.open(mode)",
        "io.open('x', 'w')",
        "os.open('x', os.O_WRONLY | os.O_CREAT)",
        "os.open('x', flags)",
        "os.fdopen(3, 'w')",
        "path.write_text('x')",
        "path.write_bytes(b'')",
        "path.touch()",
        "path.rename(other)",
        "path.replace(other)",
        "os.replace('a', 'b')",
        "shutil.copyfile('a', 'b')",
        "shutil.rmtree('a')",
        "tempfile.mkdtemp()",
        "NamedTemporaryFile()",
    ],
)
def test_the_reader_of_the_package_sees_a_write(line: str) -> None:
    assert writes_in(line) != []


@pytest.mark.parametrize(
    "line",
    ["open('x')", "open('x', 'rb')", "path.open('rb')", "os.open(f, os.O_RDONLY)", "text.replace('a', 'b')"],
)
def test_the_reader_of_the_package_lets_reading_pass(line: str) -> None:
    assert writes_in(line) == []
