"""docs/deploy.md does what it says: every command is typed as it is printed, and answers as it is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recipes.__main__ import problem
from recipes.document import Block, Command, read_blocks
from recipes.walk import DOCUMENT, Walk, why_not_here

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

BLOCKS = read_blocks(DOCUMENT)
CHAPTERS = list(dict.fromkeys(block.chapter for block in BLOCKS))


class Typist:
    """Types each block once, in the order of the document, as far as it is asked to."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.left = list(BLOCKS)
        self.wrong: list[tuple[Block, str]] = []

    def type_to_the_end_of(self, chapter: str) -> None:
        while any(block.chapter == chapter for block in self.left):
            block = self.left.pop(0)
            if why_not_here(block):
                continue
            for typed in self.walk.type(block):
                if wrong := problem(block, typed):
                    self.wrong.append((block, f"`{typed.command.text}` {wrong}:\n{typed.output}{typed.said}"))


@pytest.fixture(scope="module")
def typist(walk: Walk) -> Typist:
    return Typist(walk)


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_goes_as_printed(chapter: str, typist: Typist) -> None:
    of_it = [block for block in BLOCKS if block.chapter == chapter]
    if reasons := [reason for block in of_it if (reason := why_not_here(block))]:
        pytest.skip(f"no containers here: {reasons[0]}")
    typist.type_to_the_end_of(chapter)
    assert [wrong for block, wrong in typist.wrong if block.chapter == chapter] == []


def test_no_console_block_is_left_out() -> None:
    assert len(BLOCKS) == DOCUMENT.read_text(encoding="utf-8").count("```console\n")
    assert len(CHAPTERS) == 8


def test_every_file_beside_the_document_is_in_it_and_every_link_leads_somewhere() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (DOCUMENT.parent / link).exists(), link
    anchors = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^## (.+)$", text, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
    files = (path for path in (DOCUMENT.parent / "deploy").rglob("*") if path.is_file())
    assert [path.name for path in files if path.suffix in (".yaml", ".sbatch") and path.name not in text] == []


@pytest.mark.parametrize(
    ("shown", "printed", "answers"),
    [
        (None, "anything", True),
        ("a  b", "a b\n", True),
        ("a ... d", "a b\nc d", True),
        ("a ... d", "a b c", False),
        ("2 models", "20 models", False),
    ],
)
def test_what_is_shown_has_to_be_the_whole_answer(shown: str | None, printed: str, answers: bool) -> None:
    assert Command("x", shown).is_answered_by(printed, "") is answers


def test_what_is_shown_is_what_is_said_where_nothing_is_printed() -> None:
    assert Command("x", "error: ...").is_answered_by("", "error: no\n")
    assert not Command("x", "error: ...").is_answered_by("done", "error: no\n")


def test_a_block_that_fails_is_told(walk: Walk, tmp_path: Path) -> None:
    text = "# One\n\n<!-- machine: another -->\n```console\n$ echo a \\\n    b\na b\n$ false\n$ echo never\n```\n"
    document = tmp_path / "document.md"
    document.write_text(text)
    [block] = read_blocks(document)
    first, second = walk.type(block)
    assert (first.output, problem(block, first)) == ("a b\n", None)
    assert problem(block, second) == "ended with 1, not 0"


def test_what_is_exported_lasts_from_block_to_block(walk: Walk, tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    begin = "<!-- machine: lasting -->\n```console\n$ "
    document.write_text(
        f"# One\n{begin}export NAME='a b'; cd docs\n```\n{begin}echo $NAME ${{PWD##*/}}\na b docs\n```\n"
    )
    one, other = read_blocks(document)
    assert [problem(block, typed) for block in (one, other) for typed in walk.type(block)] == [None, None]
