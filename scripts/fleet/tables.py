"""What was found, as tables. Each number is a median; ranges are given where windows make the difference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.tables import Table

from .answers import Answer
from .assumptions import ASSUMPTIONS
from .costs import Measured
from .scenario import POLICIES, VARIANTS
from .studies import Found, limit_scenarios, refusal_scenarios


def tables_of(found: Found) -> Iterator[tuple[str, Sequence[Table]]]:
    """Titles, and the tables below each."""
    for model, ways in found.ways.items():
        yield (
            f"{model}: ways to start a fleet",
            [
                _by_machines("Until all are warm", ways, time_cell),
                _by_machines("Asked of the Hub, and sent by it and its CDN", ways, _hub_cell),
                _by_machines(
                    "Asked of the store, and sent by it",
                    {name: answers for name, answers in ways.items() if name.startswith("store")},
                    _store_cell,
                ),
            ],
        )
    yield "Where limits bite", [_refusals(found.refusals)]
    yield (
        f"Trying again: {found.largest:,} machines, 1 shared address, {next(iter(found.ways))}",
        [_policies(found.policies), _starts(found.starts), _jitter(found.jitter)],
    )
    yield f"Limits of time: {found.largest:,} machines, {list(found.ways)[-1]}", [_limits(found)]


def costs_table(measured: Measured) -> Table:
    rows = [
        ("original on the Hub", *(size(costs.original) for costs in measured.models.values())),
        ("entry, float32", *(size(costs.entry) for costs in measured.models.values())),
        ("entry, float16", *(size(costs.half) for costs in measured.models.values())),
        ("original taken, hashed and written", *(f"{size(costs.intake)}/s" for costs in measured.models.values())),
        ("from its last byte to the entry", *(f"{costs.make:.2f} s" for costs in measured.models.values())),
        ("entry taken, hashed and written", *(f"{size(costs.entry_intake)}/s" for costs in measured.models.values())),
        ("from its last byte to the entry", *(f"{costs.place:.2f} s" for costs in measured.models.values())),
    ]
    return Table(title="What a cold call costs", columns=("", *measured.models), rows=rows)


def requests_table(measured: Measured) -> Table:
    rows = [
        (words, *(f"{count}" for count in (asked.api, asked.resolve, asked.cdn)), "")
        for words, asked in (
            ("a pinned name", measured.requests["pinned"]),
            ("a branch or tag", measured.requests["branch"]),
        )
    ]
    rows.append(("from a store", "0", "0", "0", f"{measured.gets}"))
    return Table(
        title="What a cold call asks for",
        columns=("", "the Hub's API", "the Hub's resolvers", "its CDN", "the store"),
        rows=rows,
    )


def assumptions_table() -> Table:
    return Table(title="What is assumed", columns=("what", "value", "source"), rows=ASSUMPTIONS)


def time_cell(answer: Answer) -> str:
    """How long it took; or how many never got there."""
    if not answer.gave_up_most:
        return duration(answer.all_warm)
    if answer.gave_up == 0:
        return f"{duration(answer.all_warm)} ({_range(answer)} give up)"
    return f"**{answer.gave_up:,.0f} give up**" + (f" ({_range(answer)})" if _varies(answer) else "")


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


def size(count: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:,.{0 if count >= 100 * factor else 1}f} {unit}"
    return f"{count:,.0f} B"


def _by_machines(title: str, ways: Mapping[str, Mapping[str, Answer]], cell: Callable[[Answer], str]) -> Table:
    counts = list(next(iter(ways.values())))
    return Table(
        title=title,
        columns=("machines", *(f"{int(count):,}" for count in counts)),
        rows=[(VARIANTS[name].words, *(cell(answers[count]) for count in counts)) for name, answers in ways.items()],
    )


def _hub_cell(answer: Answer) -> str:
    if not answer.requests:
        return "-"
    refused = f", {answer.refused:,.0f} refused" if answer.refused else ""
    return f"{answer.requests:,.0f}{refused}; {size(answer.hub_bytes)}"


def _store_cell(answer: Answer) -> str:
    return f"{answer.gets:,.0f}; {size(answer.store_bytes)}"


def _refusals(found: Mapping[str, int]) -> Table:
    words = {name: text for name, (text, _) in refusal_scenarios("vits").items()}
    rows = [(words[name], f"{count:,}") for name, count in found.items()]
    return Table(
        title="The smallest fleet of which one is refused, where all start in the same window",
        columns=("", "machines"),
        rows=rows,
    )


def _policies(found: Mapping[str, Answer]) -> Table:
    return Table(
        title="What trying again does",
        columns=("", "give up", "half are warm", "the last is warm", "requests to the Hub", "most in a second later"),
        rows=[(POLICIES[name][0], *_again_cells(answer)) for name, answer in found.items()],
    )


def _starts(found: Mapping[str, Answer]) -> Table:
    return Table(
        title="What a slower start does (the project as it is)",
        columns=("all start within", "give up", "half are warm", "the last is warm", "requests to the Hub"),
        rows=[(duration(float(seconds)), *_again_cells(answer)[:-1]) for seconds, answer in found.items()],
    )


def _jitter(found: Mapping[str, Mapping[str, Answer]]) -> Table:
    return Table(
        title="What jitter does: the share of a wait that is added to it by chance",
        columns=(
            "at most",
            "the Hub's window: most in a second later",
            "the last is warm",
            "a mirror that is busy: give up",
            "its requests",
        ),
        rows=[
            (
                f"{float(spread):.0%}".replace("%", " %"),
                f"{by['hub'].busiest:,.0f}",
                duration(by["hub"].last_warm),
                f"{by['mirror'].gave_up:,.0f}",
                f"{by['mirror'].requests:,.0f}",
            )
            for spread, by in found.items()
        ],
        notes=(
            "The Hub's window: `DEPTHHUB_RETRY_AFTER_LIMIT=300`. The mirror answers 500 requests a second, all "
            "others with a wait of 10 s; all machines start within a second.",
        ),
    )


def _limits(found: Found) -> Table:
    words = {name: text for name, (text, _) in limit_scenarios(1, list(found.ways)[-1]).items()}
    return Table(
        title="What the project's own limits do",
        columns=("", "give up", "half are warm", "the last is warm", "sent by the store", "sent by the Hub's CDN"),
        rows=[
            (
                words[name],
                _gave_up(answer),
                duration(answer.half_warm),
                duration(answer.last_warm),
                size(answer.store_bytes),
                size(answer.hub_bytes),
            )
            for name, answer in found.limits.items()
        ],
    )


def _again_cells(answer: Answer) -> tuple[str, ...]:
    return (
        _gave_up(answer),
        duration(answer.half_warm),
        duration(answer.last_warm),
        f"{answer.requests:,.0f}",
        f"{answer.busiest:,.0f}",
    )


def _gave_up(answer: Answer) -> str:
    return f"{answer.gave_up:,.0f}" + (f" ({_range(answer)})" if _varies(answer) else "")


def _varies(answer: Answer) -> bool:
    return answer.gave_up_most > answer.gave_up_least


def _range(answer: Answer) -> str:
    return f"{answer.gave_up_least:,.0f} .. {answer.gave_up_most:,.0f}"
