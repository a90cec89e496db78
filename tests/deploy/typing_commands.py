"""Commands of a test's own, typed on a machine of the walk."""

from __future__ import annotations

from recipes.document import Block, Command
from recipes.machine import Typed
from recipes.walk import Walk

TOKEN = "hf_a_token_of_the_build"


def type_on(walk: Walk, machine: str, *commands: str) -> Typed:
    """The last of the commands that ran: the first that failed, or the last one."""
    block = Block("a test", 0, machine, (), None, 0, tuple(Command(text, None) for text in commands))
    return list(walk.type(block))[-1]
