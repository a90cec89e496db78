"""The Dockerfile of the document is read whole: what is not understood is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from recipes.dockerfile import read_dockerfile
from recipes.walk import DOCUMENT

DOCKERFILE = DOCUMENT.parent / "deploy" / "image" / "Dockerfile"


def read(text: str, folder: Path) -> list:
    path = folder / "Dockerfile"
    path.write_text(text)
    return read_dockerfile(path)


def test_the_stages_of_the_recipe() -> None:
    base, models, app, last = read_dockerfile(DOCKERFILE)
    assert [base.name, models.name, app.name] == ["base", "models", "app"]
    assert (models.base, app.base, last.base) == ("base", "base", "app")
    [run] = [instruction for instruction in models.instructions if instruction.name == "RUN"]
    assert run.flags == (("mount", "type=secret,id=hf_token,env=HF_TOKEN"),)
    assert run.command()[:2] == ["/bin/sh", "-c"]
    assert "depthhub pull --locked" in run.text
    copied = last.instructions[0]
    assert (copied.flags, copied.words({})) == ((("from", "models"),), ["/opt/depthhub", "/opt/depthhub"])


def test_lines_are_joined_and_comments_are_none(tmp_path: Path) -> None:
    [stage] = read("FROM python:3\n# a comment\nRUN a && \\\n# within\n    b\n", tmp_path)
    assert stage.instructions[0].text == "a && b"


def test_variables_are_filled_in_but_not_those_of_the_shell(tmp_path: Path) -> None:
    [stage] = read('FROM python:3\nENV A=$B C="d e"\nRUN echo $B\nCMD ["x", "$B"]\n', tmp_path)
    env, run, cmd = stage.instructions
    assert env.words({"B": "b"}) == ["A=b", "C=d e"]
    assert run.command() == ["/bin/sh", "-c", "echo $B"]
    assert cmd.command() == ["x", "$B"]


@pytest.mark.parametrize("text", ["FROM a\nHEALTHCHECK CMD x\n", "RUN x\n", "FROM a b c\n"])
def test_what_is_not_understood_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"not known|before FROM|not understood"):
        read(text, tmp_path)
