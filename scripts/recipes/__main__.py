"""Types every command of docs/deploy.md as it is printed, and holds what comes against what the document shows."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .document import Block, read_blocks
from .machine import Typed
from .walk import DOCUMENT, Walk, why_not_here


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/try-recipes", description=__doc__)
    parser.add_argument(
        "--encoder", choices=("tiny", "vits"), default="vits", help="size of the checkpoints (default: the real one)"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print what the commands print")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recipes-") as folder, Walk(Path(folder), encoder=args.encoder) as walk:
        Path(folder).chmod(0o755)
        chapter = ""
        for block in read_blocks(DOCUMENT):
            if block.chapter != chapter:
                chapter = block.chapter
                print(f"\n{chapter}")
            if not _went_as_printed(block, walk, verbose=args.verbose):
                return 1
    print("\nall as printed")
    return 0


def _went_as_printed(block: Block, walk: Walk, *, verbose: bool) -> bool:
    if reason := why_not_here(block):
        print(f"  {len(block.commands)} commands left out: {reason}")
        return True
    for typed in walk.type(block):
        wrong = problem(block, typed)
        print(f"{typed.seconds:7.2f} s  {block.machine:8} $ {typed.command.text}", flush=True)
        if verbose or wrong:
            print(typed.output + typed.said)
        if wrong:
            print(f"docs/deploy.md, line {block.line}: it {wrong}")
            return False
    return True


def problem(block: Block, typed: Typed) -> str | None:
    """What went another way than the document says; None if nothing did."""
    expected = block.ends if typed.command == block.commands[-1] else 0
    if typed.code != expected:
        return f"ended with {typed.code}, not {expected}"
    return None if typed.command.is_answered_by(typed.output, typed.said) else "printed something else"


if __name__ == "__main__":
    sys.exit(main())
