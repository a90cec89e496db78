"""A bar on a terminal, lines in a log, nothing when quiet."""

import io

from depthhub.cli.progress_bar import Bar, Indicator, Lines, indicator
from depthhub.progress import Progress

MB = 1_000_000


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_a_line_per_stage_and_one_now_and_then():
    said, now = [], [0.0]
    lines = Lines(said.append, clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        lines.report(Progress("vits", "downloading", (10 + second) * MB, 100 * MB))
    lines.report(Progress("vits", "converting", 0, 100 * MB))
    assert said == [
        "vits: downloading 100 MB",
        "vits: downloading 100 MB: 20 MB done (20%), 1 MB/s",
        "vits: downloading 100 MB: 30 MB done (30%), 1 MB/s",
        "vits: converting 100 MB",
    ]


def test_a_log_says_for_whom_it_waits():
    said = []
    Lines(said.append).report(Progress("vits", "waiting", detail="process 12 on this machine"))
    assert said == ["vits: waiting (process 12 on this machine)"]


def test_a_terminal_gets_bytes_speed_and_what_is_being_done(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with indicator(quiet=False, note=print) as bar:
        assert isinstance(bar, Bar)
        bar.report(Progress("vits", "resolving"))
        bar.report(Progress("vits", "downloading", 0, 100 * MB))
        bar.report(Progress("vits", "downloading", 40 * MB, 100 * MB))
        drawn_of_download = bar._bar.format_dict
        bar.report(Progress("vits", "converting", 1, 100 * MB))
    assert (drawn_of_download["n"], drawn_of_download["total"]) == (40 * MB, 100 * MB)
    text = terminal.getvalue()
    for part in ("vits: resolving", "vits: downloading", "100M", "B/s", "vits: converting"):
        assert part in text
    assert text.endswith("\r")  # the bar is gone when the work is done


def test_a_long_source_leaves_room_for_the_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Bar() as bar:
        bar.report(Progress(f"hf://owner/repository@{'0' * 40}/folder/tiny.pth", "downloading", 0, 100 * MB))
    assert "tiny.pth: downloading:   0%" in terminal.getvalue()
    assert "hf://" not in terminal.getvalue()


def test_the_bytes_of_an_earlier_try_are_not_speed(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Bar() as bar:
        bar.report(Progress("vits", "downloading", 40, 100))
        assert (bar._bar.n, bar._bar.initial) == (40, 40)


def test_a_transfer_that_starts_anew_goes_back(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Bar() as bar:
        bar.report(Progress("vits", "downloading", 40, 100))
        bar.report(Progress("vits", "downloading", 5, 100))
        assert bar._bar.n == 5


def test_quiet_shows_nothing(capsys):
    with indicator(quiet=True, note=print) as bar:
        assert type(bar) is Indicator
        bar.report(Progress("vits", "downloading", 1, 2))
        bar.count(0, 3, "photo.jpg")
    assert capsys.readouterr() == ("", "")


def test_a_message_is_written_above_the_bar(monkeypatch):
    from depthhub.cli.console import Console

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Bar() as bar:
        bar.report(Progress("vits", "downloading", 40, 100))
        Console().warning("look out")
    assert "depthhub: warning: look out\n" in terminal.getvalue().replace("\r", "")


def test_nothing_in_a_name_moves_the_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with Bar() as bar:
        bar.report(Progress("a\x1b[2J", "downloading", 0, MB))
        bar.count(0, 1, "b\x1b]0;c\x07")
    assert r"a\x1b[2J: downloading" in terminal.getvalue()
    assert r"b\x1b]0;c\x07" in terminal.getvalue()
    assert "\x07" not in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()


def shown(bar):
    return (bar._bar.desc, bar._bar.n, bar._bar.total)


def test_several_downloads_are_one_bar_whose_bytes_add_up(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Bar() as bar:
        bar.expect(3)
        one, other = bar.report_of("one"), bar.report_of("other")
        one(Progress("hf://me/one", "downloading", 10, 100))
        other(Progress("hf://me/other", "downloading", 5, 50))
        assert shown(bar) == ("0 of 3 done, 2 downloading", 15, 150)
        one(Progress("hf://me/one", "downloading", 100, 100))
        drawn = bar._bar
        one(Progress("hf://me/one", "converting", 30, 100))
        assert shown(bar) == ("0 of 3 done, 1 converting, 1 downloading", 105, 150)
        bar.finished("one")
        assert shown(bar) == ("1 of 3 done, hf://me/other: downloading", 105, 150)
        assert bar._bar is drawn  # so its speed is that of all


def test_of_what_fails_nothing_more_is_expected(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Bar() as bar:
        bar.expect(2)
        bar.report_of(0)(Progress("one", "downloading", 10, 100))
        bar.report_of(1)(Progress("other", "downloading", 0, 50))
        bar.finished(0)
        bar.report_of(1)(Progress("other", "downloading", 50, 50))
        assert shown(bar) == ("1 of 2 done, other: downloading", 60, 60)


def test_when_nothing_is_downloaded_the_bytes_are_those_of_what_is_done(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Bar() as bar:
        bar.expect(2)
        for task in (0, 1):
            bar.report_of(task)(Progress("one", "downloading", 100, 100))
        bar.report_of(0)(Progress("one", "converting", 20, 90))
        bar.report_of(1)(Progress("other", "waiting", detail="another conversion is under way"))
        assert shown(bar) == ("0 of 2 done, 1 converting, 1 waiting", 20, 90)


def test_of_several_resumed_downloads_the_old_bytes_are_not_speed(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with Bar() as bar:
        bar.expect(2)
        bar.report_of(0)(Progress("one", "downloading", 0, 100))
        bar.report_of(1)(Progress("other", "downloading", 40, 100))
        assert (bar._bar.n, bar._bar.initial) == (40, 40)


def test_a_log_tells_two_tasks_of_one_source_apart():
    said = []
    lines = Lines(said.append)
    for _ in range(3):
        lines.report_of(0)(Progress("vits", "downloading", 1, 100))
        lines.report_of(1)(Progress("vits", "converting", 1, 100))
    assert said == ["vits: downloading 100 B", "vits: converting 100 B"]
