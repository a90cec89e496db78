"""`depthhub doctor`: what works here and what is degraded, and what to set."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..console import Console, error_json
from ..exit_codes import ExitCode, common_exit_code, exit_code_of
from ..options import add_cache_option
from ..output import Cell, counted, path_text, printable, to_json, write_json, write_table

if TYPE_CHECKING:
    from depthhub_cache.doctor.examination import Examination
    from depthhub_cache.doctor.probes import Finding

    from ...hub import HubState
    from ...settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cache_option(parser)
    parser.add_argument("--offline", action="store_true", help="do not ask the Hub (also: HF_HUB_OFFLINE=1)")


def run(args: argparse.Namespace, console: Console) -> ExitCode:
    """The cache that is written to, those below it, the Hub. What is broken gives the exit code."""
    from depthhub_cache.doctor.examination import examine, examine_below

    settings: Settings = args.settings._replace(offline=args.settings.offline or args.offline)
    own = examine(settings.open_store())
    own = replace(own, findings=(*own.findings, *_setting_findings(settings)))
    caches = [own, *map(examine_below, settings.lower_caches)]
    hub = _examine_hub(settings)
    on_hub = tuple(_hub_findings(hub))
    if args.json:
        write_json({"caches": list(map(_cache_json, caches)), "hub": _hub_json(hub, on_hub)})
    else:
        for cache in caches:
            print(f"cache {path_text(cache.path)}{'' if cache is own else ', only read'}\n")
            _write_findings(cache.findings)
            print()
        print(f"hub {printable(hub.endpoint)}\n")
        _write_findings(on_hub)
    states = [finding.state for finding in (*(finding for cache in caches for finding in cache.findings), *on_hub)]
    console.note(f"{len(states)} checks: {states.count('broken')} broken, {states.count('degraded')} degraded.")
    return common_exit_code([*_cache_codes(caches), *_hub_codes(hub)])


def _examine_hub(settings: Settings) -> HubState:
    from ... import hub

    return hub.examine(settings)


def _hub_findings(state: HubState) -> Iterator[Finding]:
    from depthhub_cache.doctor.probes import Finding

    if state.offline:
        yield Finding("hub", "unknown", f"Not asked: {state.offline}.")
        return
    seconds = f"{state.seconds:.2f} s" if state.seconds is not None else "time"
    if state.error is not None:
        yield Finding("hub", "broken", str(state.error))
    elif state.is_hub:
        yield Finding("hub", "good", f"It answers as a Hub does, in {seconds}.")
    else:
        yield Finding(
            "hub",
            "degraded",
            f"It answers in {seconds}, but does not know the question whose a token is: a mirror, or no Hub at all.",
            "If downloads fail too, look at HF_ENDPOINT.",
        )
    yield from _token_findings(state)
    yield from _limit_findings(state)


def _token_findings(state: HubState) -> Iterator[Finding]:
    from depthhub_cache.doctor.probes import Finding

    if state.token_error is not None:
        yield Finding("token", "broken", str(state.token_error))
    elif state.token_valid:
        whose = f" It is {state.user}'s." if state.user else ""
        yield Finding("token", "good", f"The Hub accepts the token from {state.token}.{whose}")
    elif state.error is not None:
        which = f"The token from {state.token}" if state.token else "It"
        yield Finding("token", "unknown", f"{which} could not be checked, since the Hub could not be asked.")
    elif state.token is not None:
        yield Finding("token", "unknown", f"Whether the token from {state.token} is valid was not told.")
    else:
        yield Finding("token", "good", "None is sent; public models need none.")


def _limit_findings(state: HubState) -> Iterator[Finding]:
    from depthhub_cache.doctor.probes import Finding

    if state.rate_limited or state.left == 0:
        wait = state.reset if state.retry_after is None else state.retry_after
        until = f"for {wait:g} s" if wait is not None else "for a while"
        log_in = "" if state.token else " With a token the limit is higher: `hf auth login`, or HF_TOKEN."
        yield Finding(
            "rate limit", "degraded", f"The Hub answers no more requests from here {until}.", f"Wait.{log_in}"
        )
    elif state.left is not None:
        yield Finding("rate limit", "good", f"{counted(state.left, 'request')} left for the next {state.reset:g} s.")


def _setting_findings(settings: Settings) -> Iterator[Finding]:
    from depthhub_cache.doctor.probes import Finding

    if settings.map_weights is not None:
        how = "mapped" if settings.map_weights else "read"
        what = f"DEPTHHUB_MAP_WEIGHTS says that weights are {how}, whatever the file system is."
        yield Finding("mapping (setting)", "good", what)


def _cache_codes(caches: Sequence[Examination]) -> Iterator[ExitCode]:
    for cache in caches:
        if any(finding.state == "broken" for finding in cache.findings):
            yield ExitCode.CANNOT_WRITE


def _hub_codes(hub: HubState) -> Iterator[ExitCode]:
    for error in (hub.error, hub.token_error):
        if error is not None:
            yield exit_code_of(error) or ExitCode.PARTLY_FAILED


def _cache_json(cache: Examination) -> dict[str, Any]:
    system = cache.file_system
    derived = {
        "is_read_only": system.is_read_only,
        "should_map": system.should_map,
        "lock_kind": system.lock_kind,
    }
    return {**to_json(cache), "file_system": {**to_json(system), **derived}}


def _hub_json(state: HubState, findings: Sequence[Finding]) -> dict[str, Any]:
    errors = {
        "error": None if state.error is None else error_json(state.error),
        "token_error": None if state.token_error is None else error_json(state.token_error),
    }
    return {**to_json(replace(state, error=None, token_error=None)), **errors, "findings": to_json(findings)}


def _write_findings(findings: Sequence[Finding]) -> None:
    rows: list[tuple[Cell, ...]] = []
    for finding in findings:
        rows.append((finding.name, finding.state, finding.what))
        if finding.advice:
            rows.append(("", "", f"-> {finding.advice}"))
    write_table(("CHECK", "STATE", "WHAT"), rows)
