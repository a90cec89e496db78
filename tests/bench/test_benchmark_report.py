"""What is made of the facts: medians, figures, tables, and the page that holds them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import command
from bench.plots import Plots
from bench.report import BEGIN, END, put_into, results_of, text_of
from bench.sections import load, lookup
from bench.series import Series
from bench.tables import Figure, Part, Table, duration, spread, times
from bench.ways import BY_NAME, BY_PATH, LOAD_FILE, ORIGINAL

DOCS = Path(__file__).parents[2] / "docs"


def series(*runs: float, imports: float = 0.001) -> Series:
    return Series([{"imports": imports, "run": seconds, "resident": 1.0, "full collections": 0} for seconds in runs])


WAYS = {
    BY_NAME: series(0.009, 0.010, 0.030),
    BY_PATH: series(0.011),
    LOAD_FILE: series(0.004, imports=0.0002),
    ORIGINAL: series(3.0, 5.0, 4.0),
}


def loaded(size: str = "vitl") -> Part:
    material = {size: SimpleNamespace(bytes=1_341_000_000)}
    bench: Any = SimpleNamespace(material=material, plots=Plots(None))
    return load.part({size: WAYS}, bench)


def test_a_series_sums_within_each_run() -> None:
    found = Series([{"a": 1.0, "b": 10.0}, {"a": 2.0, "b": 0.0}, {"a": 3.0}])
    assert found.values("a", "b") == [11.0, 2.0]
    assert found.median("a") == 2.0
    assert found.range("a", "b") == (2.0, 11.0)
    assert not found.has("c")
    assert Series(found.runs[:2]).growth("b", "a") == 3.5


def test_durations_are_written_in_their_own_unit() -> None:
    assert [duration(s) for s in (0.0002, 0.0123, 0.9, 12.345)] == ["0.20 ms", "12.3 ms", "900.0 ms", "12.35 s"]
    assert spread(WAYS[BY_NAME], "run") == "10.0 ms (9.0 .. 30.0 ms)"
    assert spread(Series([{"run": 0.5}, {"run": 1.5}]), "run") == "1.00 s (500.0 ms .. 1.50 s)"
    assert times(2.345) == "2.35 x"
    assert times(220.4) == "220 x"


def test_a_figure_is_met_or_missed_by_so_much() -> None:
    def figure(found: float) -> Figure:
        return Figure(what="load", wanted="at most 10", measured=str(found), found=found, limit=10)

    assert figure(10).verdict == "met"
    assert figure(12.5).verdict == "missed by 25 %"


def test_the_loads_are_judged_by_the_figures_of_their_size() -> None:
    judged = {figure.what: figure for figure in loaded().figures}
    assert judged["warm load, vitl"].met
    assert judged["warm load, vitl"].limit == pytest.approx(0.016)
    assert judged["vitl against original way, load against load"].measured.startswith("400 x")
    assert judged["own imports at the first call, vitl"].met
    assert judged["a local file the second time, vitl"].measured == "11.0 ms"
    assert loaded("tiny").figures == []


def test_the_report_holds_figures_tables_and_plots() -> None:
    part = Part(
        title="Growth", tables=[Table(title="t", columns=("a", "b"), rows=[("1", "2")])], plots=[DOCS / "p/g.png"]
    )
    text = text_of([loaded(), part], {"machine": "2 cores"}, beside=DOCS)
    assert "- machine: 2 cores" in text
    assert "**4 of 4 figures met**" in text
    assert "| original way | 1.0 ms | 4.00 s (3.00 .. 5.00 s) |" in text
    assert "| a | b |\n| --- | ---: |\n| 1 | 2 |" in text
    assert "![Growth](p/g.png)" in text


def test_every_run_is_kept() -> None:
    kept = json.loads(results_of({"load": {"vitl": WAYS}}, {"machine": "2 cores"}))
    assert [run["run"] for run in kept["load"]["vitl"][ORIGINAL]] == [3.0, 5.0, 4.0]


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    page = f"# Page\n\n{BEGIN}\nold\n{END}\n\nend\n"
    assert put_into(page, "new\n") == f"# Page\n\n{BEGIN}\n\nnew\n\n{END}\n\nend\n"
    assert put_into(put_into(page, "new\n"), "new\n") == put_into(page, "new\n")
    with pytest.raises(ValueError, match="once each"):
        put_into("# Page", "new")


def test_the_page_in_docs_has_a_place_for_the_report() -> None:
    page = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert "new" in put_into(page, "new")


def test_system_calls_are_counted_between_the_marks() -> None:
    trace = """1 openat(AT_FDCWD, "/before", O_RDONLY) = 3
1 newfstatat(AT_FDCWD, "/depthhub-benchmark-mark", 0x7ffe, 0) = -1 ENOENT (No such file or directory)
1 openat(AT_FDCWD, "/a", O_RDONLY) = 3
2 getdents64(3, 0x1, 32768) = 48
1 openat(AT_FDCWD, "/b", O_RDONLY) = 4
1 newfstatat(AT_FDCWD, "/depthhub-benchmark-mark", 0x7ffe, 0) = -1 ENOENT (No such file or directory)
1 getdents64(3, 0x1, 32768) = 48
"""
    assert lookup.calls_between_marks(trace) == {"openat": 2, "getdents64": 1}


def test_every_section_can_be_measured_and_told() -> None:
    for name in command.SECTIONS:
        section = command._section(name)
        assert callable(section.measure)
        assert callable(section.part)
        assert section.__doc__


def test_unknown_sections_and_sizes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--only", "speed"], ["--sizes", "vitx"]):
        with pytest.raises(SystemExit):
            command._parser().parse_args(words)
        assert "not of" in capsys.readouterr().err
