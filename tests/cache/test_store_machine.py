"""The store against a plain model, in whatever order. `scripts/torture machine` does the same for longer."""

from __future__ import annotations

from .store_machine import run_machine


def test_the_store_holds_what_the_model_holds() -> None:
    done = run_machine(examples=60, steps=40)
    assert min(done["grew"], done["shrank"], done["collected"], done["import"], done["lease"], done["crash"]) > 0
