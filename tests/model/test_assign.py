"""Every parameter gets its tensor, or an error says all that is wrong and nothing has changed."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor

from depthhub.model.assign import AssignError, assign
from depthhub.model.dpt import DPT

BIAS = "head.proj_1ch.2.bias"
WEIGHT = "imgencoder.blocks.0.attn.qkv.weight"


@pytest.fixture
def tensors(tiny_model: DPT) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tiny_model.state_dict().items()}


def test_tensors_become_the_parameters_without_a_copy(tiny_model: DPT, tensors: dict[str, Tensor]) -> None:
    model = DPT(tiny_model.config)
    assign(model, tensors)
    assert {name: p.data_ptr() for name, p in model.named_parameters()} == {
        name: tensor.data_ptr() for name, tensor in tensors.items()
    }


def test_an_assigned_model_is_in_eval_mode_and_can_be_trained(tiny_model: DPT, tensors: dict[str, Tensor]) -> None:
    model = DPT(tiny_model.config)
    assign(model, tensors)
    assert not any(module.training for module in model.modules())
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in model.parameters())


def test_the_dtype_of_the_tensors_becomes_the_models(tiny_model: DPT, tensors: dict[str, Tensor]) -> None:
    model = DPT(tiny_model.config)
    assign(model, {name: tensor.half() for name, tensor in tensors.items()})
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}


def test_the_account_lists_everything_that_is_wrong(tiny_model: DPT, tensors: dict[str, Tensor]) -> None:
    tensors["imgencoder.blocks.8.norm1.weight"] = tensors.pop(BIAS)
    tensors["unused.pretrained.mask_token"] = torch.zeros(1)
    tensors[WEIGHT] = tensors[WEIGHT].T
    tensors["imgencoder.cls_token"] = tensors["imgencoder.cls_token"].half()
    with pytest.raises(AssignError) as caught:
        assign(DPT(tiny_model.config), tensors)
    error = caught.value
    assert error.missing == (BIAS,)
    assert error.unexpected == ("imgencoder.blocks.8.norm1.weight", "unused.pretrained.mask_token")
    assert error.misshapen == (f"{WEIGHT}: 128 x 384, the model has 384 x 128",)
    assert error.mistyped == ("imgencoder.cls_token: torch.float16",)
    message = str(error)
    assert f"1 missing: {BIAS}" in message
    assert "2 unexpected: imgencoder.blocks.8.norm1.weight, unused.pretrained.mask_token" in message
    assert "128 x 384, the model has 384 x 128" in message
    assert "imgencoder.cls_token: torch.float16" in message


@pytest.mark.parametrize("wrong", ["missing", "unexpected", "misshapen", "mistyped"])
def test_one_fault_is_enough_and_nothing_is_assigned(tiny_model: DPT, tensors: dict[str, Tensor], wrong: str) -> None:
    if wrong == "missing":
        del tensors[BIAS]
    elif wrong == "unexpected":
        tensors["head.proj_1ch.4.bias"] = torch.zeros(1)
    elif wrong == "misshapen":
        tensors[BIAS] = torch.zeros(2)
    else:
        tensors[BIAS] = tensors[BIAS].double()
    model = DPT(tiny_model.config)
    before = dict(model.named_parameters())
    with pytest.raises(AssignError) as caught:
        assign(model, tensors)
    groups = {name: getattr(caught.value, name) for name in ("missing", "unexpected", "misshapen", "mistyped")}
    assert [name for name, found in groups.items() if found] == [wrong]
    assert all(parameter is before[name] for name, parameter in model.named_parameters())


def test_integers_are_no_weights(tiny_model: DPT, tensors: dict[str, Tensor]) -> None:
    with pytest.raises(AssignError, match=r"torch\.int8") as caught:
        assign(DPT(tiny_model.config), {name: tensor.to(torch.int8) for name, tensor in tensors.items()})
    assert len(caught.value.mistyped) == len(tensors)


def test_a_long_account_shows_its_first_names_and_keeps_all(tiny_model: DPT) -> None:
    with pytest.raises(AssignError, match=r"missing: .*, and \d+ more") as caught:
        assign(DPT(tiny_model.config), {})
    assert len(caught.value.missing) == len(tiny_model.state_dict())
    assert len(str(caught.value)) < 500


def test_the_error_survives_pickling() -> None:
    error = AssignError("message", missing=["a"], unexpected=["b"], misshapen=["c"], mistyped=["d"])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "message"
    assert vars(again) == vars(error)
