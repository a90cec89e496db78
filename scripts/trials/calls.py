"""The ways into the library that trials take, in a child: each gives back a plain answer that the parent judges."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from depthhub.errors import DepthHubError

from .children import Ended, Tell
from .samples import FAMILY, SOURCE, Known, digest_of, stages_told
from .soundness import sha256_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command printed and ended with."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"ended with {self.code}, said {(self.err or self.out).strip()[:500]!r}"


def by_call(root: Path, tell: Tell) -> str:
    """`prewarm`; the sha256 of what it made."""
    from depthhub import prewarm

    [made] = prewarm([SOURCE], family=FAMILY, cache_dir=root, progress=stages_told(tell))
    return sha256_of(made.path)


def by_model(root: Path, tell: Tell) -> str:
    """`from_pretrained`; the digest of the model."""
    from depthhub import from_pretrained

    return digest_of(from_pretrained(SOURCE, family=FAMILY, cache_dir=root, progress=stages_told(tell)))


def by_command(root: Path, tell: Tell, *argv: str) -> Said:  # noqa: ARG001  every way has the same beginning
    """`depthhub ...`; without arguments the one that makes the entry."""
    from depthhub.cli import main

    os.environ["DEPTHHUB_CACHE"] = str(root)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(list(argv or ("pull", SOURCE, "--family", FAMILY)))
    return Said(code=code, out=out.getvalue(), err=err.getvalue())


def succeeded(ended: Ended, known: Known) -> bool:
    """Whether a way that needs the entry had it, with the right bytes."""
    if isinstance(ended.value, Said):
        return ended.value.code == 0 and "Traceback" not in ended.value.err
    return ended.how == "done" and ended.value in (known.sha256, known.model)


def wrong_with_refusal(ended: Ended, *words: str) -> str | None:
    """What is wrong with the end of a way that could not succeed: one error of ours that has all the `words`."""
    if isinstance(ended.value, Said):
        code, text = ended.value.code, ended.value.err
        if "Traceback" in text:
            return f"a traceback: {text[-500:]!r}"
        if code not in range(1, 10):
            return f"ended with the code {code}"
    elif ended.how == "raised" and isinstance(ended.value, DepthHubError):
        text = str(ended.value)
    else:
        return str(ended)
    missing = [word for word in words if word not in text]
    return f"the error does not say {missing}: {text!r:.500}" if missing else None
