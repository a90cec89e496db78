"""The report's pictures, where matplotlib is installed and there is a folder for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .series import Series
from .tables import duration
from .ways import BY_NAME, LOAD_FILE, ORIGINAL

if TYPE_CHECKING:
    from .sections.growth import Found as Growth

READY = ("imports", "run")
PARTS = {"interpreter": "interpreter", "torch": "import torch", "imports": "own imports", "run": "load"}
PARTS |= {"first": "first forward"}
_OTHERS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756")


class Plots:
    """Writes into `folder`; None, or no matplotlib: writes nothing, and every method gives an empty list."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder if find_spec("matplotlib") is not None else None

    def ready(self, found: Mapping[str, Mapping[str, Series]]) -> list[Path]:
        """Bars of every way, with the range of its runs."""
        if self._folder is None:
            return []
        with self._axes("ready-model", columns=len(found)) as all_axes:
            for axes, (size, ways) in zip(all_axes, found.items(), strict=True):
                labels = list(ways)[::-1]
                medians = [ways[label].median(*READY) for label in labels]
                ranges = [ways[label].range(*READY) for label in labels]
                below = [median - low for median, (low, _) in zip(medians, ranges, strict=True)]
                above = [high - median for median, (_, high) in zip(medians, ranges, strict=True)]
                bars = axes.barh(labels, medians, xerr=[below, above], color=[_colour(label) for label in labels])
                axes.bar_label(bars, [duration(median) for median in medians], padding=4, fontsize="small")
                axes.set(xscale="log", xlim=(1e-3, 10 * max(medians)), title=f"ready model, {size}")
                axes.set_xlabel("seconds, own imports included")
        return [self._folder / "ready-model.png"]

    def first_depth(self, found: Mapping[str, Mapping[str, Series]]) -> list[Path]:
        """Bars of every way, made of their parts."""
        if self._folder is None:
            return []
        with self._axes("first-depth", columns=len(found)) as all_axes:
            for axes, (size, ways) in zip(all_axes, found.items(), strict=True):
                labels, begin = list(ways)[::-1], [0.0] * len(ways)
                for (name, words), colour in zip(PARTS.items(), _OTHERS, strict=True):
                    widths = [ways[label].median(name) for label in labels]
                    axes.barh(labels, widths, left=begin, label=words, color=colour)
                    begin = [left + width for left, width in zip(begin, widths, strict=True)]
                axes.set(xlabel="seconds since the process was started", title=f"first depth map, {size}")
                axes.legend(fontsize="small")
        return [self._folder / "first-depth.png"]

    def growth(self, found: Growth) -> list[Path]:
        """A line for each kind of growth."""
        if self._folder is None:
            return []
        with self._axes("growth", columns=3) as (size, entries, loaders):
            for label in (ORIGINAL, BY_NAME, LOAD_FILE):
                medians = [ways[label].median(*READY) for ways in found.size.values()]
                size.plot([count / 1e6 for count in found.size], medians, "o-", label=label, color=_colour(label))
            size.set(xscale="log", yscale="log", xlabel="MB of the converted file", ylabel="seconds to a ready model")
            size.legend(fontsize="small")
            _line(entries, found.entries)
            entries.set(xscale="log", xlabel="entries of the cache", ylabel="ms of a lookup", ylim=(0, None))
            _line(loaders, found.loaders)
            loaders.set(xscale="log", xlabel="loaders at once", ylabel="ms of a load", ylim=(0, None))
            loaders.set_xticks(list(found.loaders), labels=[str(count) for count in found.loaders])
            loaders.minorticks_off()
        return [self._folder / "growth.png"]

    @contextmanager
    def _axes(self, name: str, *, columns: int) -> Iterator[Sequence[Any]]:
        if self._folder is None:
            raise AssertionError("asked for only where there is a folder")
        import matplotlib

        matplotlib.use("agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(1, columns, figsize=(5.6 * columns, 3.4), layout="constrained", squeeze=False)
        yield list(axes[0])
        self._folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(self._folder / f"{name}.png", dpi=110)
        pyplot.close(figure)


def _line(axes: Any, found: Mapping[int, Series]) -> None:
    """Medians of `run` in ms, and a band from the least to the most."""
    ranges = [series.range("run") for series in found.values()]
    axes.fill_between(list(found), [low * 1e3 for low, _ in ranges], [high * 1e3 for _, high in ranges], alpha=0.2)
    axes.plot(list(found), [series.median("run") * 1e3 for series in found.values()], "o-", color=_colour(BY_NAME))


def _colour(label: str) -> str:
    return "#1f6f43" if label.startswith("depthhub") else "#b0b0b0" if "no model" in label else "#c4622d"
