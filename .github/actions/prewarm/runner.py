"""What a step tells the runner: outputs, variables of the job, the summary, and annotations."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import NoReturn


def set_output(name: str, value: str) -> None:
    """For `steps.ID.outputs.NAME`."""
    _append("GITHUB_OUTPUT", _assignment(name, value))


def export(name: str, value: str) -> None:
    """A variable of the environment of every later step of the job."""
    _append("GITHUB_ENV", _assignment(name, value))


def summarise(markdown: str) -> None:
    """Put on the page of the run."""
    _append("GITHUB_STEP_SUMMARY", markdown)


def warn(message: str) -> None:
    print(f"::warning title=depthhub::{_one_line(message)}", flush=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the step, and with it the job."""
    print(f"::error title=depthhub::{_one_line(message)}", flush=True)
    sys.exit(code)


def _append(variable: str, text: str) -> None:
    with Path(os.environ[variable]).open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _assignment(name: str, value: str) -> str:
    """The value between two lines that it cannot hold, so that it can assign nothing else."""
    end = f"end-{secrets.token_hex(16)}"
    return f"{name}<<{end}\n{value}\n{end}\n"


def _one_line(message: str) -> str:
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
