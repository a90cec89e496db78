"""Training states are unpacked and prefixes taken off where only one thing can be meant, and every decision is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from depthhub.checkpoint.reading import Checkpoint
from depthhub.checkpoint.wrappers import unwrap
from depthhub.errors import CheckpointError
from depthhub.testing import make_checkpoint

from .states import golden_shapes, read, same_bits, state_dict

PATH = Path("some.pth")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return state_dict(golden_shapes("v2-tiny"))


def prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


def is_whole(found: dict[str, Tensor], state: dict[str, Tensor]) -> bool:
    return list(found) == list(state) and all(same_bits(found[key], state[key]) for key in state)


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "model_state_dict", "ema", "teacher"])
def test_a_state_dict_under_any_one_name_is_found(tmp_path: Path, wrapper: str) -> None:
    path = make_checkpoint(tmp_path / "weights.pth", wrapper=wrapper, beside={"epoch": 7, "lr": 1e-4})
    checkpoint = read(path)
    assert {key: tuple(t.shape) for key, t in checkpoint.tensors.items()} == golden_shapes("v2-tiny")
    assert checkpoint.decisions == (
        f"took the 183 tensors under '{wrapper}'",
        "ignored 'epoch' (int), 'lr' (float)",
    )


def test_a_real_training_state_with_optimizer_and_scheduler_is_unpacked(tmp_path: Path) -> None:
    net = torch.nn.ModuleDict(
        {
            "pretrained": torch.nn.ModuleDict({"blocks": torch.nn.ModuleList([torch.nn.Linear(2, 2)])}),
            "depth_head": torch.nn.ModuleDict({"projects": torch.nn.ModuleList([torch.nn.Linear(2, 2)])}),
        }
    )
    optimizer = torch.optim.AdamW(net.parameters())
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    sum(parameter.sum() for parameter in net.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    state = {
        "model": torch.nn.DataParallel(net).state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "epoch": 3,
        "rng": torch.get_rng_state(),
        "best": None,
    }
    torch.save(state, tmp_path / "training.pth")
    checkpoint = read(tmp_path / "training.pth")
    assert is_whole(checkpoint.tensors, net.state_dict())
    assert checkpoint.decisions[0] == "took the 4 tensors under 'model'"
    assert "'epoch' (int), 'rng' (a tensor), 'best' (nothing)" in checkpoint.decisions[1]
    assert checkpoint.decisions[2] == "removed the prefix 'module.' from every name"


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "net.", "model.", "module._orig_mod.", "module.net.depth."]
)
@pytest.mark.parametrize("container", ["pth", "safetensors"])
def test_a_prefix_that_all_names_share_is_taken_off_and_told(tmp_path: Path, prefix: str, container: str) -> None:
    path = make_checkpoint(tmp_path / "weights", prefix=prefix, container=container)  # type: ignore[arg-type]
    checkpoint = read(path)
    assert set(checkpoint.tensors) == set(golden_shapes("v2-tiny"))
    told = " ".join(checkpoint.decisions)
    assert all(part in told for part in prefix.split("."))


def test_what_torch_compile_inserts_in_the_middle_is_taken_out(state: dict[str, Tensor]) -> None:
    compiled = {key.replace("pretrained.", "pretrained._orig_mod."): tensor for key, tensor in state.items()}
    assert is_whole(unwrap(compiled, path=PATH).tensors, state)


def test_names_without_a_prefix_are_left_alone(state: dict[str, Tensor]) -> None:
    found = unwrap(state, path=PATH)
    assert is_whole(found.tensors, state)
    assert found.decisions == ()


def test_a_prefix_stays_where_nothing_known_is_under_it() -> None:
    strange = {"net.a.weight": torch.zeros(1), "net.b.weight": torch.zeros(1)}
    assert list(unwrap(strange, path=PATH).tensors) == list(strange)


def test_the_encoder_alone_does_not_lose_its_name(state: dict[str, Tensor]) -> None:
    encoder = {key: tensor for key, tensor in state.items() if key.startswith("pretrained.")}
    assert list(unwrap(encoder, path=PATH).tensors) == list(encoder)


def test_nested_dicts_are_looked_through(state: dict[str, Tensor]) -> None:
    found = unwrap({"ema": {"module": prefixed("model.", state), "decay": 0.99}, "step": 9}, path=PATH)
    assert is_whole(found.tensors, state)
    assert found.decisions == (
        "took the 183 tensors under 'ema.module'",
        "ignored 'step' (int), 'decay' (float)",
        "removed the prefix 'model.' from every name",
    )


def test_two_different_sets_of_weights_are_ambiguous_and_both_named(state: dict[str, Tensor]) -> None:
    averaged = {key: tensor + 1 for key, tensor in state.items()}
    with pytest.raises(CheckpointError, match="under 'model' and 'ema'") as caught:
        unwrap({"model": state, "ema": averaged}, path=PATH)
    assert "torch.load('some.pth', weights_only=True)['ema']" in str(caught.value), "how to choose"


def test_one_number_is_enough_of_a_difference(state: dict[str, Tensor]) -> None:
    key = "depth_head.scratch.output_conv2.2.bias"
    with pytest.raises(CheckpointError, match="different sets"):
        unwrap({"model": state, "ema": {**state, key: state[key] + 1}}, path=PATH)


def test_the_same_weights_under_two_names_are_no_riddle(state: dict[str, Tensor]) -> None:
    copy = prefixed("module.", {key: tensor.clone() for key, tensor in state.items()})
    found = unwrap({"model": state, "ema": copy}, path=PATH)
    assert is_whole(found.tensors, state)
    assert "passed over 'ema', which holds the same tensors" in found.decisions


@pytest.mark.parametrize(
    ("name", "place", "wrapped"),
    [
        ("ema", "ema", lambda state: {"n_averaged": torch.tensor(3), **prefixed("module.", state)}),
        ("ema", "ema", lambda state: {"criterion.w": torch.ones(1), **prefixed("module.net.", state)}),
        ("ema", "ema", lambda state: {"loss.head.w": torch.ones(1), **prefixed("net.backbone.", state)}),
        ("ema", "ema", lambda state: {key.replace("pretrained.", "pretrained.module."): t for key, t in state.items()}),
        ("ema", "ema", lambda state: {(f"a.{key}" if "head" in key else f"b.{key}"): t for key, t in state.items()}),
        ("ema", "ema.0", lambda state: [state]),
        (0, "0", lambda state: state),
    ],
    ids=["averaged", "with a loss", "like another model", "wrapped inside", "in two parts", "in a list", "by number"],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_could_be_a_model_of_ours_is_not_passed_over(
    state: dict[str, Tensor], name: object, place: str, wrapped: Callable[[dict[str, Tensor]], object], is_first: bool
) -> None:
    other = wrapped({key: tensor + 1 for key, tensor in state.items()})
    saved = {name: other, "model": state} if is_first else {"model": state, name: other}
    both = f"'{place}' and 'model'" if is_first else f"'model' and '{place}'"
    with pytest.raises(CheckpointError, match=f"holds 2 different sets of weights, under {both}. Save the one that"):
        unwrap(saved, path=PATH)


def test_torchs_own_average_of_a_model_is_a_riddle_beside_it(state: dict[str, Tensor], tmp_path: Path) -> None:
    net = torch.nn.ParameterDict({key.replace(".", "_"): tensor for key, tensor in state.items()})
    averaged = torch.optim.swa_utils.AveragedModel(net).state_dict()
    names = dict(zip([key.replace(".", "_") for key in state], state, strict=True))
    renamed = {".".join(names.get(part, part) for part in key.split(".")): t for key, t in averaged.items()}
    assert {"n_averaged", "module.pretrained.cls_token"} <= renamed.keys()
    torch.save({"model": state, "model_ema": renamed}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="under 'model' and 'model_ema'"):
        read(tmp_path / "weights.pth")


def test_another_model_that_is_known_is_passed_over_by_its_name(state: dict[str, Tensor]) -> None:
    other = {"model.backbone.pretrained.norm.weight": torch.zeros(3), "model.head.norm.weight": torch.zeros(3)}
    found = unwrap({"teacher": other, "student": state}, path=PATH)
    assert is_whole(found.tensors, state)
    assert "passed over 'teacher', which is Depth-Anything-3" in found.decisions


def test_a_model_in_a_list_is_found(state: dict[str, Tensor]) -> None:
    found = unwrap({"models": [state, 7], "step": 9}, path=PATH)
    assert is_whole(found.tensors, state)
    assert found.decisions == ("took the 183 tensors under 'models.0'", "ignored 'step' (int), 1 (int)")


def test_weights_of_something_else_are_passed_over(state: dict[str, Tensor]) -> None:
    other = {"conv.weight": torch.zeros(3), "conv.bias": torch.zeros(3)}
    found = unwrap({"discriminator": other, "generator": state}, path=PATH)
    assert is_whole(found.tensors, state)
    assert "passed over 'discriminator', which is no Depth-Anything model" in found.decisions


def test_two_models_side_by_side_in_one_dict_are_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(prefixed("student.", state) | prefixed("teacher.", state), tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match="2 models, under student and teacher"):
        read(tmp_path / "both.pth")


def test_no_tensor_is_dropped_in_silence(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({**prefixed("model.", state), "loss.weight": torch.zeros(1)}, tmp_path / "more.pth")
    with pytest.raises(CheckpointError, match=r"under model, and other tensors beside it: .*loss \(1\)"):
        read(tmp_path / "more.pth")


@pytest.mark.parametrize("saved", [[1, 2], torch.zeros(3), {"a": 1}, {"state": {0: {"step": torch.zeros(1)}}}, None])
def test_a_file_without_a_state_dict_is_refused(saved: object) -> None:
    with pytest.raises(CheckpointError, match="holds no state dict"):
        unwrap(saved, path=PATH)


def test_a_tensor_under_a_number_is_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError, match="without a name"):
        unwrap({**state, 3: torch.zeros(1)}, path=PATH)


def test_a_dict_that_holds_itself_ends(state: dict[str, Tensor]) -> None:
    endless: dict[str, object] = {"model": state}
    endless["self"] = endless
    found = unwrap(endless, path=PATH)
    assert is_whole(found.tensors, state)
    assert found.decisions == ("took the 183 tensors under 'model'", "ignored 'self' (a dict of 2)")


def test_a_checkpoint_knows_its_path(tiny: Path) -> None:
    checkpoint = read(tiny)
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.path == tiny


def test_twins_that_differ_in_the_sign_of_a_zero_are_two_models(state: dict[str, Tensor]) -> None:
    one, other = ({key: torch.zeros_like(tensor) + zero for key, tensor in state.items()} for zero in (0.0, -0.0))
    other["pretrained.norm.weight"] = -one["pretrained.norm.weight"]
    with pytest.raises(CheckpointError, match="holds 2 different sets"):
        unwrap({"model": one, "ema": other}, path=PATH)


def test_a_second_model_is_found_however_deep_it_lies_and_what_is_too_deep_is_refused(state: dict[str, Tensor]) -> None:
    def buried(depth: int) -> object:
        value: object = {key: tensor + 1 for key, tensor in state.items()}
        for _ in range(depth):
            value = {"inner": value}
        return value

    for depth, words in ((12, "holds 2 different sets"), (100, "nested more than 32 deep")):
        with pytest.raises(CheckpointError, match=words):
            unwrap({"model": state, "other": buried(depth)}, path=PATH)


LONG = "m" * 3_000_000


@pytest.mark.parametrize(
    "saved",
    [
        lambda state: {LONG: state},
        lambda state: {LONG: {LONG: {LONG: state}}},
        lambda state: {"model": state, LONG: 1},
        lambda state: {"model": state, **{f"{'x' * 1000}{number}": {"a.b": torch.ones(1)} for number in range(100)}},
        lambda state: {"model": state, **{f"{'x' * 1000}{number}": dict(state) for number in range(100)}},
        lambda state: prefixed(f"{LONG}.", state),
        lambda state: {10**5000: state},
        lambda state: {"model": state, 10**5000: 1, (10**5000,): 2, ("a",) * 50_000: 3},
        lambda state: {(LONG,): state},
    ],
    ids=["key", "keys", "beside", "passed over", "the same", "prefix", "number", "numbers beside", "tuple"],
)
def test_names_of_any_length_are_told_in_few_words(
    state: dict[str, Tensor], saved: Callable[[dict[str, Tensor]], object]
) -> None:
    found = unwrap(saved(state), path=PATH)
    assert is_whole(found.tensors, state)
    assert len("".join(found.decisions)) < 16_000
    assert len(found.decisions) <= 54


@pytest.mark.parametrize(
    "saved",
    [
        lambda state: {**state, 10**5000: torch.zeros(1)},
        lambda state: {"model": state, 10**5000: {key: tensor + 1 for key, tensor in state.items()}},
        lambda state: {f"{LONG}{n}": {key: tensor + n for key, tensor in state.items()} for n in range(3)},
    ],
    ids=["a tensor", "a rival", "rivals"],
)
def test_a_refusal_tells_names_of_any_length_in_few_words(
    state: dict[str, Tensor], saved: Callable[[dict[str, Tensor]], object]
) -> None:
    with pytest.raises(CheckpointError) as caught:
        unwrap(saved(state), path=PATH)
    assert len(str(caught.value)) < 1000


def test_rivals_that_repeat_one_number_for_ever_are_not_compared(state: dict[str, Tensor]) -> None:
    endless = {**state, "depth_head.scratch.output_conv2.2.bias": torch.zeros(1).expand(10**13)}
    with pytest.raises(CheckpointError, match="holds 2 different sets"):
        unwrap({"model": endless, "ema": dict(endless)}, path=PATH)


def test_one_number_with_whatever_stride_is_compared_too(state: dict[str, Tensor]) -> None:
    one = {key: tensor.clone() for key, tensor in state.items()}
    one["depth_head.scratch.output_conv2.2.bias"] = torch.ones(7).as_strided((1,), (3,))
    other = {key: tensor.clone() for key, tensor in one.items()}
    assert unwrap({"model": one, "ema": other}, path=PATH).decisions[1].startswith("passed over 'ema'")
