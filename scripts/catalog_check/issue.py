"""The report as an issue on GitHub: opened with the first findings, kept up to date, closed when there are none.

Ours is the open one that this workflow's account wrote and whose text begins with our mark; nobody else can make one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

TITLE = "The catalog, and the Hub as it is now"
_MARK = "<!-- scripts/catalog-check writes this issue, and writes over it -->"
_AUTHOR = "github-actions[bot]"
_LONGEST = 65_000
"""Characters; GitHub takes 65,536."""


class IssueError(Exception):
    """GitHub could not be told; the message says what, and what it answered."""


def tell(report: str, *, any_findings: bool) -> str:
    """Open, update or close the issue: what was done, in words. Raises IssueError."""
    ours = _find()
    body = f"{_MARK}\n{report[:_LONGEST]}"
    if ours is None:
        if not any_findings:
            return "No findings, and no issue is open."
        made = _ask("POST", "", {"title": TITLE, "body": body})
        return f"Opened issue {made['number']}."
    if any_findings:
        _ask("PATCH", f"/{ours}", {"body": body})
        return f"Updated issue {ours}."
    _ask("PATCH", f"/{ours}", {"body": body, "state": "closed"})
    return f"Closed issue {ours}: no findings are left."


def _find() -> int | None:
    asked = urlencode({"state": "open", "creator": _AUTHOR, "per_page": 100})
    for issue in _ask("GET", f"?{asked}"):
        is_ours = issue["user"]["login"] == _AUTHOR and (issue["body"] or "").startswith(_MARK)
        if is_ours and "pull_request" not in issue:
            return int(issue["number"])
    return None


def _ask(method: str, path: str, data: Mapping[str, str] | None = None) -> Any:
    missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not os.environ.get(name)]
    if missing:
        raise IssueError(f"--issue needs {' and '.join(missing)} in the environment, as a workflow sets them.")
    api = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
    request = Request(
        f"{api}/repos/{os.environ['GITHUB_REPOSITORY']}/issues{path}",
        method=method,
        data=None if data is None else json.dumps(data).encode(),
        headers={
            "accept": "application/vnd.github+json",
            "authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "content-type": "application/json",
            "x-github-api-version": "2022-11-28",
        },
    )
    try:
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            said = error.read(500).decode(errors="replace")
        raise IssueError(f"GitHub answered {error.code} to {method} {error.url}: {said}") from error
    except (OSError, HTTPException, ValueError) as error:
        raise IssueError(f"GitHub did not answer {method} issues{path}: {error}") from error
