"""What may name a repository, a file in it or a revision of it: functions over text, for whoever meets such names.

Each gives the reason why a name is refused, as the end of a sentence, or None. Repository ids follow the Hub's own
rules; paths and revisions are stricter than the Hub, so that no name means something else on any file system.
"""

from __future__ import annotations

import re
from typing import Literal

RepoType = Literal["model", "space"]

DEFAULT_REVISION = "main"

WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
"""How a file of weights ends, in lower case."""

FURTHER_WEIGHT_SUFFIXES = (".tar", ".pth.zip", ".pt.zip", ".th", ".pkl", ".pickle", ".weights", ".model", ".t7")
"""How one may end, too: where such a file is, another one is not the only one."""

OTHER_SUFFIXES = (
    *(".onnx", ".onnx_data", ".gguf", ".h5", ".hdf5", ".keras", ".msgpack", ".pb", ".tflite", ".engine"),  # of others
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".exr", ".svg", ".heic", ".pdf"),  # pictures
    *(".mp4", ".mov", ".avi", ".mkv", ".webm", ".wav", ".mp3", ".glb", ".ply"),  # films, sounds, scenes
    *(".npy", ".npz", ".parquet", ".arrow", ".csv", ".json", ".jsonl"),  # data
    *(".txt", ".md", ".html", ".js", ".py", ".ipynb", ".yaml", ".yml"),  # text
)
"""How files end that are surely none, however large."""

_HEX = frozenset("0123456789abcdef")
_REPO_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_REVISION = r"[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*"
_MAX_REVISION = 200
_MAX_LICENCE = 100
_MAX_PATH = 1024
_MAX_COMPONENT = 255
_NOT_IN_FILE_NAMES = frozenset('\\:*?"<>|%')  # one system or another gives each a meaning of its own
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))]
)  # on Windows these are no files in any folder, whatever suffix they carry


def is_licence(text: str) -> bool:
    """Whether `text` can name a licence: lower case, as in SPDX, or as the Hub's cards do (`other`, `openrail`)."""
    return len(text) <= _MAX_LICENCE and re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", text) is not None


def repo_id_problem(repo_id: str) -> str | None:
    """Why `repo_id` cannot be `owner/name` on the Hub."""
    parts = repo_id.split("/")
    if len(parts) != 2:
        return "a repository is written owner/name"
    for part in parts:
        if not re.fullmatch(_REPO_PART, part):
            return (
                f"{part[:100]!r} cannot be an owner or a repository: 1 to 96 of A-Z a-z 0-9 - _ . "
                "with no - or . at either end"
            )
        if "--" in part or ".." in part or part.endswith(".git"):
            return f"{part!r} cannot be an owner or a repository: the Hub allows no --, no .. and no .git at the end"
    return None


def file_path_problem(path: str) -> str | None:
    """Why `path` cannot be the path of a file below a folder: nothing that could leave the folder on any system."""
    if len(path) > _MAX_PATH:
        return f"the path of the file is longer than {_MAX_PATH} characters"
    for part in path.split("/"):
        if problem := _component_problem(part):
            return problem
    return None


def _component_problem(part: str) -> str | None:
    if not part:  # an absolute path begins with one
        return "a part of the path is empty"
    if len(part) > _MAX_COMPONENT:
        return f"a part of the path is longer than {_MAX_COMPONENT} characters"
    if not part.isprintable():
        return f"{part!r} holds characters that cannot be printed"
    if bad := _NOT_IN_FILE_NAMES.intersection(part):
        return f"{part!r} holds {' '.join(sorted(bad))}"
    if not part.strip(". "):  # `.`, `..`, and `.. `, which Windows reads as `..`
        return f"{part!r} could leave the folder"
    if part[-1] in ". " or part[0] == " ":  # Windows drops what stands at the end: another file
        return f"{part!r} begins with a space, or ends with a dot or a space"
    if part.partition(".")[0].rstrip().lower() in _DEVICES:
        return f"{part!r} is the name of a device on Windows"
    return None


def is_commit(revision: str) -> bool:
    """Whether `revision` is a whole commit id: 40 hex digits in lower case."""
    return len(revision) == 40 and _HEX.issuperset(revision)


def revision_problem(revision: str) -> str | None:
    """Why `revision` cannot be a commit, a branch or a tag."""
    if len(revision) > _MAX_REVISION:
        return f"the revision is longer than {_MAX_REVISION} characters"
    if not re.fullmatch(_REVISION, revision) or ".." in revision or revision.endswith((".", ".lock")):
        return (
            f"{revision!r} cannot be a revision: a commit, branch or tag of A-Z a-z 0-9 . _ + - /, "
            "with no .. and no . or .lock at the end"
        )
    if revision == "refs":  # hf://owner/repo@refs/pr/1 would have two meanings
        return "'refs' alone is not a revision"
    if revision.lower().endswith(WEIGHT_SUFFIXES):
        return f"{revision!r} looks like a file, not like a revision"
    return None
