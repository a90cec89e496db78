"""What one may type, and what it costs to find out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from depthhub.cli.console import Console
from depthhub.cli.parser import VERBS, Verb
from depthhub.errors import CacheError
from depthhub.testing import make_checkpoint


def paths(verbs: tuple[Verb, ...] = VERBS, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every verb with those above it: ("list",), ("cache", "info"), ..."""
    return [
        path
        for verb in verbs
        for path in (paths(verb.verbs, (*above, verb.name)) if verb.verbs else [(*above, verb.name)])
    ]


@pytest.mark.parametrize("path", paths(), ids="-".join)
def test_every_verb_explains_itself_and_has_the_options_of_every_verb(depthhub, path):
    outcome = depthhub(*path, "--help")
    assert outcome.code == 0
    for option in ("--json", "--quiet", "--verbose"):
        assert option in outcome.out


@pytest.mark.parametrize("path", [p for p in paths() if p[0] in ("info", "pull", "path", "verify", "predict")])
def test_every_verb_with_a_source_takes_the_options_of_from_pretrained(depthhub, path):
    text = depthhub(*path, "--help").out
    for option in ("--revision", "--family", "--max-depth", "--dtype", "--cache-dir", "--offline"):
        assert option in text


def test_the_version_is_printed(depthhub):
    from importlib.metadata import version

    assert depthhub("--version").out == f"depthhub {version('depthhub')}\n"


def test_the_help_names_every_verb(depthhub):
    text = depthhub("--help").out
    assert all(verb.name in text for verb in VERBS)


def test_options_are_not_guessed_from_their_beginning(depthhub):
    assert depthhub("list", "--js").code == 2


def test_a_verb_is_imported_only_when_it_is_typed(shell):
    code = (
        "import sys; from depthhub.cli import main; main(['path', 'vits']);"
        "print(*sorted(m for m in sys.modules if m.startswith('depthhub.cli.verbs.')))"
    )
    assert shell("-c", code).stdout == "depthhub.cli.verbs.path\n"


@pytest.mark.parametrize("argv", [["list"], ["list", "--json"], ["--help"], ["cache", "info"], ["info", "vits"]])
def test_looking_around_imports_neither_torch_nor_the_hubs_client(shell, argv):
    code = (
        f"import sys; from depthhub.cli import main; main({argv!r});"
        "heavy = {'torch', 'huggingface_hub', 'tqdm', 'PIL', 'numpy'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = shell("-c", code)
    assert result.returncode == 0, result.stderr


def test_python_m_is_the_same_command(shell):
    result = shell("-m", "depthhub", "list", "v2-vits")
    assert result.returncode == 0
    assert result.stdout.splitlines()[0].split() == ["NAME", "FAMILY", "OUTPUT", "ENCODER", "LICENCE", "SIZE", "CACHED"]
    assert result.stderr == ""


def test_verbose_shows_the_traceback(depthhub):
    outcome = depthhub("info", "vitx", "--verbose")
    assert outcome.code == 3
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.err.rstrip().splitlines()[-1].startswith("depthhub: error: ")


def test_an_error_is_a_few_lines_on_stderr_and_json_on_stdout_when_asked(depthhub):
    outcome = depthhub("info", "vitx", "--json")
    assert len(outcome.err.splitlines()) <= 3
    error = outcome.json["error"]
    assert (error["type"], error["exit_code"], error["name"]) == ("UnknownModelError", 3, "vitx")
    assert "vits" in error["suggestions"]


def test_a_mistake_of_ours_keeps_its_traceback(depthhub, monkeypatch):
    import depthhub.cli.verbs.list as verb

    def slip(*_):
        raise KeyError("a slip")

    monkeypatch.setattr(verb, "run", slip)
    with pytest.raises(KeyError):
        depthhub("list")


def test_warnings_and_log_messages_of_the_library_are_messages(depthhub, monkeypatch):
    import logging
    import warnings

    import depthhub.cli.verbs.list as verb
    from depthhub.cli.exit_codes import ExitCode

    def run(*_):
        warnings.warn("only the file's name suggests v2", UserWarning, stacklevel=1)
        logging.getLogger("depthhub").warning("the commit is gone")
        logging.getLogger("depthhub_cache").debug("only when verbose")
        return ExitCode.DONE

    monkeypatch.setattr(verb, "run", run)
    assert depthhub("list", "--quiet").err == (
        "depthhub: warning: only the file's name suggests v2\ndepthhub: warning: the commit is gone\n"
    )
    assert "only when verbose" in depthhub("list", "--verbose").err
    assert logging.getLogger("depthhub").handlers == []


def test_a_message_may_have_lines_and_moves_no_terminal(capsys):
    for say in (Console().note, Console().warning, lambda text: Console().failure(CacheError(text, path=Path()))):
        say("one\ntwo \x1b[2J\r\u202e\ud800 é深")
        assert capsys.readouterr().err.endswith("one\ntwo \\x1b[2J\\r\\u202e\\ud800 é深\n")


def test_a_warning_is_shown_whatever_python_was_told_of_warnings(shell, tiny, tmp_path):
    suggestive = shutil.copy(tiny, tmp_path / "depth_anything_v2_vits.pth")
    for wish in ("ignore", "error"):
        result = shell("-W", wish, "-m", "depthhub", "info", suggestive)
        assert result.returncode == 0
        assert "depthhub: warning: " in result.stderr
        assert "file's name suggests v2" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_file_name_that_is_no_text_is_printed_as_its_bytes(tmp_path):
    file = os.fsencode(tmp_path) + b"/p\xff.pth"
    make_checkpoint(Path(os.fsdecode(file)), encoder="tiny")
    command = [sys.executable, "-m", "depthhub", "identify", file]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    result = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert file in result.stdout
