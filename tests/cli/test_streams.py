"""A stream that the shell closed, that is full, or that nobody reads: an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")


@pytest.fixture
def line(cache):
    """`line("list >&-")`: the command as a shell runs it, with the buffers that Python has by itself."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

    def run(text: str) -> subprocess.CompletedProcess[str]:
        command = f"{shlex.quote(sys.executable)} -m depthhub {text}"
        result = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert "Traceback" not in result.stderr
        assert "Exception ignored" not in result.stderr
        return result

    return run


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("list >&-", 0),
        ("list --json >&-", 0),
        ("info vitx --json >&-", 3),
        ("info vitx >&- 2>&-", 3),
        ("lisst 2>&-", 2),
    ],
)
def test_a_closed_stream_changes_nothing_but_that_it_is_silent(line, text, code):
    result = line(text)
    assert (result.returncode, result.stdout) == (code, "")


@pytest.mark.parametrize(
    ("text", "code"), [("info ./nosuch.pth --json", 3), ("pull ./nosuch.pth --json", 3), ("list --js --json", 2)]
)
@pytest.mark.parametrize("errors", ["2>&-", pytest.param("2>/dev/full", marks=needs_full)])
def test_stdout_is_json_alone_where_stderr_takes_nothing(line, text, code, errors):
    result = line(f"{text} {errors}")
    assert result.returncode == code
    assert "error" in json.dumps(json.loads(result.stdout))


@needs_full
@pytest.mark.parametrize("text", ["list --json", "list v2-vits", "--help", "--version"])
def test_a_full_disk_under_stdout_is_said_once(line, text):
    result = line(f"{text} >/dev/full")
    assert result.returncode == 8
    assert result.stderr.count("No space left on device") == 1


@needs_full
def test_an_error_keeps_its_code_where_stdout_is_full(line):
    result = line("info vitx --json >/dev/full")
    assert result.returncode == 3
    assert "vitx" in result.stderr


def test_an_error_as_json_that_nobody_reads_is_141(cache):
    command = [sys.executable, "-m", "depthhub", "info", "vitx", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 141
    assert "BrokenPipe" not in err
