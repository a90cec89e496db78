"""The catalog as the Markdown table of README.md: one row a checkpoint, licences as the catalog has them."""

from __future__ import annotations

from depthhub.catalog import Catalog, CatalogEntry

SHORT = {"v2-vits": "vits", "v2-vitb": "vitb", "v2-vitl": "vitl"}


def table() -> str:
    rows = ["| name | output | checkpoint on the Hub | size | licence of the weights |", "|---|---|---|---|---|"]
    rows += [row(entry) for entry in Catalog.load() if entry.build is not None]
    return "\n".join(rows) + "\n"


def row(entry: CatalogEntry) -> str:
    name = f"`{entry.name}`" + (f" (`{SHORT[entry.name]}`)" if entry.name in SHORT else "")
    output = "relative" if entry.build.max_depth is None else f"metres, up to {entry.build.max_depth:g}"
    kind = "space " if entry.repo_type == "space" else ""
    size = f"{entry.size / 1e6:,.0f} MB" if entry.size else "not known"
    licence = (entry.licence or "not known") + (" (disputed)" if entry.licence_disputed else "")
    return f"| {name} | {output} | {kind}`{entry.repo_id}/{entry.filename}` | {size} | {licence} |"


if __name__ == "__main__":
    print(table(), end="")
