"""The summary on the page of a run: which models, under which licences, how large, and where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Model(NamedTuple):
    """A model of the lockfile.

    licence: of the weights, None where nobody states one. size: bytes of the converted file. origin: in words.
    """

    source: str
    licence: str | None
    size: int
    origin: str

    @classmethod
    def of(cls, locked: dict[str, Any], *, was_there: bool, damaged: bool) -> Model:
        origin = "restored" if was_there else "damaged, pulled again" if damaged else "pulled"
        dtype = locked["recipe"]["dtype"]
        source = f"{locked['source']} ({dtype})" if dtype else locked["source"]
        return cls(source, locked["licence"], locked["weights_size"], origin)


def summary(models: Sequence[Model], *, key: str, restored_key: str, hit: bool, removed: int) -> str:
    """Markdown. restored_key: of what was restored, empty where nothing was."""
    if hit:
        state = "hit"
    elif restored_key == key:
        state = "damaged, and mended"
    elif restored_key:
        state = f"partial, from `{restored_key}`"
    else:
        state = "miss"
    lines = [
        "### depthhub",
        "",
        f"Cache: {state}. Key: `{key}`.",
        "",
        "| model | licence | bytes | |",
        "|---|---|---:|---|",
        *(f"| `{m.source}` | {m.licence or 'not stated'} | {m.size:,} | {m.origin} |" for m in models),
        "",
    ]
    if removed:
        lines += [f"Removed, since the lockfile does not name them: {removed}.", ""]
    return "\n".join(lines) + "\n"
