"""Weights are mapped, or read at once: by the setting, and by what holds the file."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from depthhub import from_pretrained
from depthhub.depth_model import DepthModel
from depthhub.testing import reference_image

from .conftest import IsSound
from .entries import prewarmed

on_linux = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells from /proc what is mapped")


def depth_of(model: DepthModel) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.from_numpy(reference_image(28, 42)))


def is_mapped(weights: Path) -> bool:
    return str(weights) in Path("/proc/self/maps").read_text()


@on_linux
def test_weights_are_mapped_or_read_as_the_setting_says_and_the_depth_is_the_same(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, is_sound: IsSound
) -> None:
    weights = prewarmed(tiny)
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    read = from_pretrained(tiny, family="v2")
    assert not is_mapped(weights)
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "1")
    mapped = from_pretrained(tiny, family="v2")
    assert is_mapped(weights)
    assert torch.equal(depth_of(read), depth_of(mapped))
    assert is_sound(read)
    states = read.state_dict(), mapped.state_dict()
    assert list(states[0]) == list(states[1])
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
        assert (tensor.dtype, tensor.shape, tensor.stride()) == (
            states[1][name].dtype,
            states[1][name].shape,
            states[1][name].stride(),
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_read_like_it_is_mapped(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    models = []
    for setting in ("0", "1"):
        monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", setting)
        models.append(from_pretrained(tiny, family="v2", dtype=dtype))
    for ours, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert ours.dtype == theirs.dtype == getattr(torch, dtype)
        assert torch.equal(ours, theirs)


def test_what_was_read_is_ones_own(tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that happens to the file reaches the model, and nothing that is done to the model the file."""
    weights = prewarmed(tiny)
    before = weights.read_bytes()
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    model = from_pretrained(tiny, family="v2")
    depth = depth_of(model)
    with torch.no_grad():
        for parameter in copy.deepcopy(model).parameters():
            parameter.zero_()
    with weights.open("r+b") as file:
        file.truncate(100)
    assert torch.equal(depth_of(model), depth)
    weights.write_bytes(before)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    assert weights.read_bytes() == before


def test_a_file_that_was_cut_is_found_when_it_is_read_too(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, is_sound: IsSound
) -> None:
    monkeypatch.setenv("DEPTHHUB_MAP_WEIGHTS", "0")
    weights = prewarmed(tiny)
    weights.write_bytes(weights.read_bytes()[:-1])
    assert is_sound(from_pretrained(tiny, family="v2"))
