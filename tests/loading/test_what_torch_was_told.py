"""What the process has told torch about the parameters it makes is no fault of the entry."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from depthhub import OptionError, from_pretrained
from depthhub.model.assign import AssignError
from depthhub.steps import build as step

from .entries import prewarmed, set_aside


def empty(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> torch.nn.Parameter:
    """As DeepSpeed's zero.Init leaves them: the numbers are elsewhere."""
    return torch.nn.Parameter(parameter.detach().new_empty(0))


def test_a_sound_entry_stays_where_torch_was_told_to_make_other_parameters(tiny: Path, cache: Path) -> None:
    made = prewarmed(tiny, cache_dir=cache)
    hook = register_module_parameter_registration_hook(empty)
    try:
        for _ in range(2):
            with pytest.raises(OptionError, match=r"Load the model outside of that\.\nThe file is sound, but"):
                from_pretrained(tiny, family="v2", cache_dir=cache)
    finally:
        hook.remove()
    assert from_pretrained(tiny, family="v2", cache_dir=cache).provenance.path == made
    assert set_aside(cache) == []


def test_without_memory_for_the_model_that_an_entry_is_nothing_is_set_aside(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prewarmed(tiny, cache_dir=cache)

    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(step, "DepthModel", refuse)
    with pytest.raises(MemoryError):
        from_pretrained(tiny, family="v2", cache_dir=cache)
    assert set_aside(cache) == []


def test_a_config_that_is_not_that_of_the_tensors_is_the_files_fault(tiny: Path, cache: Path) -> None:
    model = from_pretrained(tiny, family="v2", cache_dir=cache)
    tensors = dict(model.named_parameters())
    assert step._are_those_of(model.config, tensors)
    tensors["head.proj_1ch.2.bias"] = torch.nn.Parameter(torch.empty(2))
    assert not step._are_those_of(model.config, tensors)
    assert not step._are_those_of(model.config, {})
    with pytest.raises(AssignError, match="of another shape"):
        step._assign(model, tensors)
