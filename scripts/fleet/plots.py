"""The pictures: fleets of any size, how the largest one gets warm, how those come back that were refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .scenario import VARIANTS
from .studies import Found

_LOOKS = {
    "image": ("in the image", "#7f7f7f", "-"),
    "store-half": ("object store, float16", "#5fb87a", "-"),
    "store": ("object store", "#1f6f43", "-"),
    "store-server": ("one server, 10 Gbit/s", "#1f6f43", ":"),
    "store-late": ("object store, filled too late", "#8a6fc0", "-"),
    "hub": ("Hub, an address each", "#3b6fb6", "-"),
    "hub-10": ("Hub, 10 addresses", "#e09a2b", "-"),
    "hub-1": ("Hub, 1 address", "#c4422d", "-"),
    "hub-1-branch": ("Hub, 1 address, a branch", "#c4422d", ":"),
}
"""Of each way: words, colour, line. The colours can be told apart by those who see no red or no green."""

_GROWING = ("store", "store-server", "hub", "hub-10", "hub-1", "hub-1-branch")
_QUIET = "#555555"
_RETURNS = {
    "waits-as-one": ("as it was: all come back as one", "#c4422d"),
    "waits": ("as it is: with jitter", "#1f6f43"),
}


def draw(found: Found, folder: Path) -> list[str]:
    """Write them into `folder`: their names."""
    import matplotlib

    matplotlib.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    with _figure(folder / "growth.png", 2) as axes:
        _growth(axes, found)
    with _figure(folder / "warm.png", 1) as [one]:
        _warm(one, found)
    with _figure(folder / "return.png", 2, share_y=True) as axes:
        _returns(axes, found)
    return ["growth.png", "warm.png", "return.png"]


def _growth(axes: Sequence[Any], found: Found) -> None:
    """When the last machine is warm, for fleets of every size; and of the largest, how many give up on each way."""
    times, lost = axes
    model, ways = list(found.ways.items())[-1]
    for name in _GROWING:
        words, colour, line = _LOOKS[name]
        counts = [int(count) for count in ways[name]]
        answers = zip(counts, ways[name].values(), strict=True)
        whole = [(count, answer.all_warm / 60) for count, answer in answers if answer.all_warm]
        times.plot(*zip(*whole, strict=True), line, marker="o", color=colour, label=words)
        if len(whole) < len(counts):
            times.plot(*whole[-1], marker="x", markersize=12, markeredgewidth=2.5, color=colour)
    times.set(xscale="log", yscale="log", xlabel="machines that start within a minute", ylabel="minutes")
    times.set_title(f"Until all have {model} (x: a larger fleet gives up in part)")
    counts = sorted({int(count) for answers_of in ways.values() for count in answers_of})
    times.set_xticks(counts, labels=[f"{count:,}" for count in counts])
    times.set_yticks([1, 2, 5, 10, 20], labels=["1", "2", "5", "10", "20"])
    times.minorticks_off()
    times.legend(frameon=False, fontsize=9)
    names = list(ways)[::-1]
    gave_up = [ways[name][str(found.largest)].gave_up for name in names]
    colours = [_LOOKS[name][1] if name in _LOOKS else "#c4422d" for name in names]
    bars = lost.barh([VARIANTS[name].words for name in names], gave_up, color=colours, height=0.7)
    lost.bar_label(bars, [f"{count:,.0f}" if count else "none" for count in gave_up], padding=4, fontsize=8)
    lost.set(xlim=(0, found.largest * 1.12), xlabel="machines")
    lost.tick_params(axis="y", labelsize=8, length=0)
    lost.grid(visible=False, axis="y")
    lost.set_title(f"Of {found.largest:,} machines give up, {model}")


def _warm(axes: Any, found: Found) -> None:
    """The share of the largest fleet that is warm, over time."""
    latest = max(points[-1][0] for points in found.curves.values() if points) / 60
    for name, points in found.curves.items():
        if not points:
            continue
        words, colour, line = _LOOKS[name]
        xs = [0.0, *(seconds / 60 for seconds, _ in points), latest * 1.02]
        ys = [0.0, *(100 * share for _, share in points), 100 * points[-1][1]]
        axes.plot(xs, ys, line, color=colour, linewidth=2, label=words)
    axes.set(xlabel="minutes since the first one started", ylabel="% of the machines are warm", ylim=(0, 104))
    axes.set_xlim(0, latest * 1.02)
    axes.set_title(f"{found.largest:,} machines, {list(found.ways)[-1]}: who gets warm when")
    axes.figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=4)


def _returns(axes: Sequence[Any], found: Found) -> None:
    """Requests to the Hub in each second, without and with the rule's jitter."""
    latest = max(second for points in found.returns.values() for second, _ in points) + 30
    for one, (name, points) in zip(axes, found.returns.items(), strict=True):
        words, colour = _RETURNS[name]
        one.vlines([second for second, _ in points], 0, [count for _, count in points], color=colour, linewidth=1.6)
        second, highest = max(points, key=lambda point: point[1])
        one.annotate(
            f"at most {highest:,} in a second",
            (second, highest),
            xytext=(10, 6) if highest < 1_000 else (10, -10),
            textcoords="offset points",
            color=colour,
        )
        one.set(xlim=(-15, latest), ylim=(0, None), xlabel="seconds since the first one started")
        one.set_title(words)
    axes[0].set_ylabel("requests to the Hub in a second")


@contextmanager
def _figure(path: Path, columns: int, *, share_y: bool = False) -> Iterator[Sequence[Any]]:
    from matplotlib import pyplot

    width = 6.4 * columns if columns > 1 else 8.6
    figure, axes = pyplot.subplots(
        1, columns, figsize=(width, 4.4), layout="constrained", squeeze=False, sharey=share_y
    )
    for one in axes[0]:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(visible=True, color="#e4e4e4", linewidth=0.8)
        one.set_axisbelow(True)
        one.tick_params(colors=_QUIET)
    yield list(axes[0])
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
