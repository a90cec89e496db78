"""A short run from the command line, and the page that holds the long one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from fleet import command
from fleet.answers import Answer
from fleet.costs import read_measured
from fleet.report import BEGIN, END, put_into, text_of
from fleet.scenario import POLICIES, VARIANTS
from fleet.studies import Found
from fleet.tables import duration, size, time_cell

DOCS = Path(__file__).parents[2] / "docs"
RAN = Answer(
    workers=100,
    requests=150,
    refused=50,
    hub_bytes=1e9,
    gets=0,
    store_bytes=0,
    gave_up=40,
    gave_up_least=10,
    gave_up_most=50,
    half_warm=30.0,
    all_warm=None,
    last_warm=61.0,
    busiest=7,
)


def test_a_short_run_answers_every_question(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "QUICK", replace(command.QUICK, reach=600))
    assert command.main(["--quick", "--machines", "4,40", "--out", str(tmp_path)]) == 0
    report = capsys.readouterr().out
    for variant in VARIANTS.values():
        assert report.count(f"| {variant.words} |") >= 2
    for words, _ in POLICIES.values():
        assert f"| {words} |" in report
    kept = json.loads((tmp_path / "results.json").read_text())
    ways = Found.from_json(kept["found"]).ways["vits"]
    assert ways["hub-1"]["40"].requests == 40
    assert ways["store"]["40"].gets == 2 * 40
    assert ways["store"]["40"].store_bytes == pytest.approx(40 * read_measured().models["vits"].entry, rel=1e-3)
    assert all(answer.gave_up == 0 for by_machines in ways.values() for answer in by_machines.values())
    pictures = {file.name for file in tmp_path.glob("*.png")}
    assert pictures == ({"growth.png", "warm.png", "return.png"} if find_spec("matplotlib") else set())


@pytest.mark.parametrize("wrong", [["--machines", "many"], ["--machines", "0,5"]])
def test_a_fleet_of_no_machines_is_a_mistake(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(wrong)
    assert ended.value.code == 2
    assert "numbers of machines" in capsys.readouterr().err


def test_a_model_without_costs_is_told_of(capsys):
    assert command.main(["--quick", "--models", "vitx"]) == 2
    assert "vitx" in capsys.readouterr().err


def test_who_gives_up_is_told_before_how_long_it_took():
    assert time_cell(RAN) == "**40 give up** (10 .. 50)"
    assert time_cell(replace(RAN, gave_up=0, gave_up_least=0, gave_up_most=0, all_warm=59.6)) == "60 s"
    assert time_cell(replace(RAN, gave_up=0, gave_up_least=0, all_warm=59.6)) == "60 s (0 .. 50 give up)"


def test_quantities_are_written_for_people():
    assert [duration(seconds) for seconds in (None, 61.4, 599, 895)] == ["never", "61 s", "599 s", "15 min"]
    assert [size(count) for count in (0, 99.2e6, 13.4e12, 670e9)] == ["0 B", "99.2 MB", "13.4 TB", "670 GB"]


def test_the_page_holds_what_the_kept_run_says():
    kept = json.loads((DOCS / "fleet" / "results.json").read_text())
    page = (DOCS / "fleet.md").read_text()
    plots = re.findall(r"!\[\w+\]\((fleet/\w+\.png)\)", page[page.index(BEGIN) :])
    assert all((DOCS / plot).exists() for plot in plots)
    text = text_of(Found.from_json(kept["found"]), read_measured(), kept["facts"], plots)
    assert put_into(page, text) == page, "run scripts/fleet_sim --update-docs"


def test_a_page_without_its_marks_is_left_alone():
    for page in ("", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"):
        with pytest.raises(ValueError, match="once each"):
            put_into(page, "text")
