"""The report: what was measured, what is assumed, what was found, and the pictures. Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from .assumptions import READ_ON
from .costs import Measured
from .studies import Found
from .tables import assumptions_table, costs_table, requests_table, tables_of

BEGIN, END = "<!-- fleet: scripts/fleet_sim --update-docs writes this -->", "<!-- end of fleet -->"


def text_of(found: Found, measured: Measured, facts: Mapping[str, str], plots: Sequence[str] = ()) -> str:
    """plots: as the report links them."""
    blocks = [_list(facts)]
    blocks += [f"![{Path(plot).stem}]({plot})" for plot in plots]
    for title, tables in tables_of(found):
        blocks += [f"### {title}", *(table.text() for table in tables)]
    blocks += ["### Measured", costs_table(measured).text(), requests_table(measured).text()]
    blocks.append(_list(measured.facts))
    blocks += ["### Assumed", assumptions_table().text(), f"The sources were read on {READ_ON}."]
    return "\n\n".join(blocks) + "\n"


def results_of(found: Found, facts: Mapping[str, str]) -> str:
    return json.dumps({"facts": dict(facts), "found": asdict(found)}, indent=1) + "\n"


def put_into(document: str, text: str) -> str:
    """`document`, with what stands between the two marks replaced. ValueError where they are not there once each."""
    before, found, rest = document.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end or BEGIN in rest or END in after:
        raise ValueError(f"it needs the lines {BEGIN} and {END} once each, in this order")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def _list(facts: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())
