"""The table, and when a trial has failed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from trials import __main__ as torture
from trials.report import Report
from trials.trial import Options, Trial

OPTIONS = Options(short=True, seed=7, folder=None, counts={"kills": 3}, switches=frozenset())


def ran(run: object, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    """Whether a trial failed, and what was printed."""
    failed = torture._run("kill", cast(Trial, SimpleNamespace(run=run)), OPTIONS)
    return failed, capsys.readouterr().out


def test_a_trial_without_violations_has_not_failed(capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: Options) -> Report:
        report = Report("kill")
        report.did("killed", 1200)
        report.require("killed", at_least=1000)
        return report

    failed, text = ran(run, capsys)
    assert not failed
    assert "| killed        |     1,200 |          0 |" in text
    assert "`scripts/torture kill --short --seed 7 --kills 3`" in text
    assert "result: no violation" in text


def test_a_violation_is_a_failure_and_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: Options) -> Report:
        report = Report("kill")
        report.did("killed", 5)
        report.violated("killed", "entry 4f2a is half visible")
        return report

    failed, text = ran(run, capsys)
    assert failed
    assert "VIOLATION killed: entry 4f2a is half visible" in text


def test_a_trial_that_did_nothing_or_too_little_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    def too_little(_: Options) -> Report:
        report = Report("kill")
        report.did("killed", 5)
        report.require("killed", at_least=6)
        return report

    assert ran(lambda _: Report("kill"), capsys)[0]
    failed, text = ran(too_little, capsys)
    assert failed
    assert "done only 5 times" in text


def test_a_trial_that_breaks_down_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: Options) -> Report:
        raise RuntimeError("an undisturbed call hung")

    failed, text = ran(run, capsys)
    assert failed
    assert "an undisturbed call hung" in text


def test_the_same_seed_makes_the_same_choices() -> None:
    assert OPTIONS.random().random() == OPTIONS.random().random()
