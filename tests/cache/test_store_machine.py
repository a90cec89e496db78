"""The store against a plain model, in whatever order. `scripts/torture machine` does the same for longer."""

from __future__ import annotations

from collections import Counter

from .store_machine import run_machine

CAME = ("grew", "shrank", "collected", "import", "lease", "crash")


def test_the_store_holds_what_the_model_holds() -> None:
    """Which steps are taken depends on more than the seed: on what other modules are loaded. So until all came."""
    done: Counter[str] = Counter()
    for number in range(12):
        done += run_machine(examples=30, steps=40, number=number)
        if number and all(done[what] for what in CAME):
            break
    assert all(done[what] for what in CAME), done
