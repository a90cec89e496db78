"""The notes of a release: what changed, which models it holds and which it does not, and how to use and check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from depthhub.lockfile import FILE_NAME, LockedModel

from .changelog import UNRELEASED, section_of
from .errors import ReleaseError
from .release import Release

LIMIT = 125_000
"""Characters that GitHub takes."""


def notes(release: Release, locked: Sequence[LockedModel], withheld: Sequence[Mapping[str, Any]]) -> str:
    """Markdown. Raises ReleaseError where the changelog has nothing to say, or too much."""
    text = f"""{_changes(release)}

## Converted models

The assets of this release are a remote store: with the extra `http`, depthhub fetches from them what it would else
download and convert. The lockfile says which bytes they must be.

```console
$ pip install 'depthhub[http]=={release.checkout.version}'
$ curl -LO {release.remote}/{FILE_NAME}
$ export DEPTHHUB_LOCKFILE={FILE_NAME} DEPTHHUB_REMOTE={release.remote}
$ depthhub pull --locked
```

| model | licence | converted weights | card | bundle |
|---|---|---|---|---|
{_rows(release, locked)}

What is not here, and why. depthhub makes it on your machine, of its authors' files; `manifest.json` has its digests.

| not here | licence | why |
|---|---|---|
{_reasons(withheld)}

## Checking what you have

```console
$ sha256sum --check --ignore-missing SHA256SUMS
$ gh attestation verify FILE --repo {release.repository}
```
"""
    if len(text) > LIMIT:
        raise ReleaseError(f"The notes have {len(text):,} characters, and {LIMIT:,} are taken. Shorten the changelog.")
    return text


def _changes(release: Release) -> str:
    """A rehearsal may come before the section has its heading."""
    text = (release.checkout.root / "CHANGELOG.md").read_text(encoding="utf-8")
    try:
        return section_of(text, release.checkout.version)
    except ReleaseError:
        if not release.is_rehearsal:
            raise
        return section_of(text, UNRELEASED)


def _rows(release: Release, locked: Sequence[LockedModel]) -> str:
    return "\n".join(
        f"| `{model.name}` | {model.licence} | {model.weights_size / 1e6:,.0f} MB | "
        f"[card]({release.remote}/{model.name}.md) | [tar]({release.remote}/{model.name}.tar) |"
        for model in locked
    )


def _reasons(withheld: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(
        f"| `{model['name']}` | {model['licence'] or 'not known'} | {model['reason']} |" for model in withheld
    )
