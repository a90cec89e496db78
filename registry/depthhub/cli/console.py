"""Messages for stderr: notes, warnings, errors, and the progress of a long call. Data goes elsewhere: see output.py."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .exit_codes import ExitCode, exit_code_of
from .output import printable, to_json
from .streams import discard

if TYPE_CHECKING:
    from .progress_bar import Indicator


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """How much a command says. quiet: warnings and errors only; verbose: debug messages and tracebacks too."""

    quiet: bool = False
    verbose: bool = False

    def note(self, text: str) -> None:
        if not self.quiet:
            _write(text)

    def warning(self, text: str) -> None:
        _write(f"depthhub: warning: {text}")

    def failure(self, error: BaseException) -> ExitCode:
        """Say what went wrong, and give back the exit code of it. Raises what is nobody's mistake but ours."""
        code = exit_code_of(error)
        if code is None:
            raise error
        if self.verbose:
            _write("".join(traceback.format_exception(error)).rstrip())
        _write(f"depthhub: error: {error_text(error)}")
        return code

    def progress(self) -> Indicator:
        """A bar on a terminal, a line now and then in a log, nothing when quiet."""
        from .progress_bar import indicator

        return indicator(quiet=self.quiet, note=self.note)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The library's warnings and log messages become messages of ours."""
        handler = _Handler(self)
        loggers = [logging.getLogger(name) for name in ("depthhub", "depthhub_cache")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.DEBUG if self.verbose else logging.WARNING)
            logger.addHandler(handler)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = self._show_warning  # type: ignore[assignment]  # it is called by position
                yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(handler)
                logger.setLevel(level)

    def _show_warning(self, message: Warning | str, *_: object) -> None:
        self.warning(str(message))


class _Handler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self._console.warning(record.getMessage())
        else:
            self._console.note(f"depthhub: {record.getMessage()}")


def error_text(error: BaseException) -> str:
    """The message of an error, for a person."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted; what was finished stays, nothing half-made does"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def error_json(error: BaseException) -> dict[str, object]:
    """The same for a program: the kind of error, its message, its exit code and its attributes."""
    code = exit_code_of(error)
    facts: dict[str, object] = {"type": type(error).__name__, "message": error_text(error)}
    facts["exit_code"] = None if code is None else int(code)
    promised = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    return {**to_json(promised), **facts}


def _write(text: str) -> None:
    """One message, above the progress bar if one is drawn: tqdm lifts its bars for the time of a write.

    It may have lines of its own; nothing else in it moves the terminal.
    """
    text = "\n".join(map(printable, text.split("\n")))
    tqdm = sys.modules.get("tqdm")
    if tqdm is not None and sys.stderr.isatty():
        tqdm.tqdm.write(text, file=sys.stderr)
    else:
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:  # nobody can be told; the exit code still says it
            discard(sys.stderr)
