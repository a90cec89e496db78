r"""What a user may write for a source, and what it means. Text only: no network, no catalog, no look at the disk.

| written                                            | means                                                         |
|----------------------------------------------------|---------------------------------------------------------------|
| `vitl`, `v2-vitl`, `vitl@main`                     | a name of the catalog, at its own commit or at a revision     |
| `owner/repo`                                       | a model repository of the Hub: its one checkpoint             |
| `owner/repo/dir/file.pth`                          | a file in it                                                  |
| `owner/repo@v1.0`, `owner/repo/file.pth@refs/pr/3` | either at a commit, branch or tag, which comes last here      |
| `spaces/owner/repo/dir/file.pth`                   | all of this in a Space                                        |
| `hf://owner/repo@v1.0/dir/file.pth`                | all of this as the Hub's tools write it: the revision follows |
|                                                    | the repository (a `/` in it is `%2F`, but in `refs/pr/3`)     |
| `/x.pth`, `./x.pth`, `../x.pth`, `~/x.pth`, `C:\x` | a file on this machine                                        |
| `x.pth`, `weights/x.pth`                           | a file on this machine: one folder at most, suffix of weights |
| any `os.PathLike`                                  | a file on this machine, as it stands: `~` is a folder         |

So `a/b/c.pth` is on the Hub and `./a/b/c.pth` is here. `str(source)` is a text that parses back to an equal source.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple, NoReturn

from .errors import SourceError
from .hub_names import WEIGHT_SUFFIXES, RepoType, file_path_problem, repo_id_problem, revision_problem

__all__ = ["CatalogName", "HubFile", "LocalFile", "Source", "parse"]


class CatalogName(NamedTuple):
    """A name of the catalog, or what may turn out to be one. `revision` None: the catalog's own commit."""

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


class HubFile(NamedTuple):
    """A file of a repository of the Hub. `filename` None: its one checkpoint; `revision` None: its main branch."""

    repo_id: str
    filename: str | None = None
    revision: str | None = None
    repo_type: RepoType = "model"

    def __str__(self) -> str:
        kind = "spaces/" if self.repo_type == "space" else ""
        at = "" if self.revision is None else f"@{_revision_in_uri(self.revision)}"
        path = "" if self.filename is None else f"/{self.filename}"
        return f"{_SCHEME}{kind}{self.repo_id}{at}{path}"


class LocalFile(NamedTuple):
    """A file on this machine. `path` is as written, but a leading `~` of a text is already the home folder."""

    path: Path

    def __str__(self) -> str:
        text = self.path.as_posix()
        return text if _is_path(text) else f"./{text}"


Source = CatalogName | HubFile | LocalFile


def parse(source: str | os.PathLike[str], *, revision: str | None = None) -> Source:
    """The source that is meant. `revision` says a commit, branch or tag apart from the text.

    Raises SourceError for anything else than the grammar above, for a revision of a local file, and for two different
    revisions.
    """
    if isinstance(source, str):
        _refuse_what_no_source_holds(source)
        parsed = _parse_text(source)
    else:
        path = os.fsdecode(source)
        _refuse_what_no_source_holds(path)
        parsed = LocalFile(Path(path))
    return parsed if revision is None else _at(revision, parsed, str(source))


_SCHEME = "hf://"
_MAX_TEXT = 4096
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_PATHS = tuple(f"{dots}{slash}" for dots in ("", ".", "..") for slash in "/\\")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_SPECIAL_REVISION = r"refs/(?:pr|convert)/[^/]+"
_NOT_OWNERS = ("models", "datasets", "buckets", "kernels")
_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_FILE_ROUTES = ("resolve", "blob", "raw", "tree", "blame")


def _is_path(text: str) -> bool:
    """Whether it begins as a path does, also as one of Windows with its drive, and no name or Hub file."""
    has_drive = text[:1].isascii() and text[:1].isalpha() and text[1:3] in (":/", ":\\")
    return text.startswith(_PATHS) or has_drive


def _parse_text(text: str) -> Source:
    if text.startswith(_SCHEME):
        return _hub_uri(text)
    if text.startswith("~"):
        return LocalFile(Path(os.path.expanduser(text)))  # noqa: PTH111  # Path.expanduser raises where HOME is missing
    if _is_path(text):
        return LocalFile(Path(text))
    if "://" in text:
        _refuse_url(text)
    if text.lower().endswith(WEIGHT_SUFFIXES) and "@" not in text and text.count("/") <= 1:
        return LocalFile(Path(text))
    if text != text.strip():
        _refuse(text, "it begins or ends with a space")
    where, at, after = text.partition("@")
    revision = after if at else None
    return _hub_file(text, where.split("/"), revision) if "/" in where else _catalog_name(text, where, revision)


def _catalog_name(text: str, name: str, revision: str | None) -> CatalogName:
    if not re.fullmatch(_NAME, name):
        _refuse(text, "neither a name, nor a repository, nor a path with the suffix of weights")
    if name.lower().endswith(WEIGHT_SUFFIXES):  # without @ it would be a local file by now
        _refuse(text, f"{name!r} looks like a file of this machine, which has no revision")
    if revision is not None:
        _check_revision(text, revision)
    return CatalogName(name, revision)


def _hub_uri(text: str) -> HubFile:
    parts = text.removeprefix(_SCHEME).removeprefix("models/").split("/")
    place = 2 if parts[0] == "spaces" else 1
    if len(parts) <= place:
        _refuse(text, "hf:// needs owner/repo; a name of the catalog is written plainly")
    head, tail = parts[:place], parts[place + 1 :]
    repo, at, revision = parts[place].partition("@")
    if "@" in "/".join(tail):
        _refuse(text, "after hf:// the revision follows the repository: hf://owner/repo@revision/file")
    special = "/".join([revision, *tail[:2]])
    if re.fullmatch(_SPECIAL_REVISION, special):
        revision, tail = special, tail[2:]
    revision = revision.replace("%2F", "/").replace("%2f", "/")
    return _hub_file(text, [*head, repo, *tail], revision if at else None)


def _hub_file(text: str, parts: list[str], revision: str | None) -> HubFile:
    if parts[0] in _NOT_OWNERS:
        _refuse(
            text,
            f"a checkpoint is in a model repository or a Space, not under {parts[0]}/ "
            f"(a folder of this machine is written ./{parts[0]}/...)",
        )
    repo_type: RepoType = "space" if parts[0] == "spaces" else "model"
    owner_repo, path = (parts[1:3], parts[3:]) if repo_type == "space" else (parts[:2], parts[2:])
    repo_id = "/".join(owner_repo)
    filename = "/".join(path) if path else None
    if problem := repo_id_problem(repo_id) or (None if filename is None else file_path_problem(filename)):
        _refuse(text, problem)
    if revision is not None:
        _check_revision(text, revision)
    return HubFile(repo_id, filename, revision, repo_type)


def _at(revision: str, source: Source, text: str) -> Source:
    if isinstance(source, LocalFile):
        _refuse(text, "a file on this machine has no revision")
    _check_revision(text, revision)
    if source.revision not in (None, revision):
        _refuse(text, f"it says revision {source.revision!r}, and revision={revision!r} was given too")
    return source._replace(revision=revision)


def _revision_in_uri(revision: str) -> str:
    return revision if re.fullmatch(_SPECIAL_REVISION, revision) else revision.replace("/", "%2F")


def _check_revision(text: str, revision: str) -> None:
    if not revision:
        _refuse(text, "a revision is missing after @")
    if problem := revision_problem(revision):
        if "/" in revision and revision.lower().endswith(WEIGHT_SUFFIXES):
            problem += "; the revision comes last (owner/repo/file@revision), or follows the repository after hf://"
        _refuse(text, problem)


def _refuse_what_no_source_holds(text: str) -> None:
    if not text:
        _refuse(text, "it is empty")
    if len(text) > _MAX_TEXT:
        _refuse(text, f"it is longer than {_MAX_TEXT} characters")
    if not text.isprintable():
        if re.search(_CONTROL, text):
            _refuse(text, "it holds control characters")
        try:
            os.fsencode(text)
        except UnicodeEncodeError:  # half a surrogate pair: no file of any system is called that
            _refuse(text, "it holds characters that cannot be encoded")


def _refuse_url(text: str) -> NoReturn:
    """A URL is not a source, but one of the Hub's pages says what would be."""
    host, *parts = re.split(r"[?#]", text.partition("://")[2], maxsplit=1)[0].split("/")
    if host in _HUB_HOSTS:
        place = 3 if parts[:1] == ["spaces"] else 2
        repo, route, path = parts[:place], parts[place : place + 2], parts[place + 2 :]
        at = f"@{route[1]}" if len(route) == 2 and route[0] in _FILE_ROUTES else ""
        try:
            meant = _hub_uri(_SCHEME + "/".join(["/".join(repo) + at, *path]))
        except SourceError:
            pass
        else:
            if at or not route:
                _refuse(text, f"a URL; write {meant}", usage=False)
    _refuse(text, "a URL; download the file and give its path")


def _refuse(text: str, reason: str, *, usage: bool = True) -> NoReturn:
    shown = repr(text if len(text) <= 120 else f"{text[:117]}...")
    raise SourceError(f"{shown} is not a source: {reason}.{_USAGE if usage else ''}", text=text)


_USAGE = "\nWrite a name of `depthhub list`, owner/repo[/file][@revision] on the Hub, or a path such as ./file.pth."
