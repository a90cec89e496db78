"""The last step of a load: every parameter gets its tensor, and the account is exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""What a model computes in."""

SHOWN = 5
"""Names that a message shows of each group."""


class AssignError(ValueError):
    """The tensors are not those of the model. Every group holds sentences or names, all of them.

    missing: parameters without a tensor. unexpected: tensors without a parameter. misshapen: tensors of another
    shape than their parameter. mistyped: tensors that are not of the one floating dtype that most are of.
    """

    def __init__(
        self,
        message: str,
        *,
        missing: Sequence[str] = (),
        unexpected: Sequence[str] = (),
        misshapen: Sequence[str] = (),
        mistyped: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.misshapen = tuple(misshapen)
        self.mistyped = tuple(mistyped)


def assign(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Make `tensors`, name -> tensor, the parameters of `model`, and put it in eval mode.

    Nothing is copied: a tensor that is a view of a mapped file stays one. All of them must be of one floating
    dtype, which becomes the model's. Parameters require gradients, as torch's do. AssignError, with nothing
    assigned, unless every parameter has a tensor of its shape and every tensor a parameter.
    """
    modules = list(_modules(model, ""))
    slots = {
        prefix + name: (module._parameters, name)
        for prefix, module in modules
        for name, parameter in module._parameters.items()
        if parameter is not None
    }
    _check(slots, tensors)
    # Where load_state_dict(assign=True) and eval() arrive, without their hooks and searches, in a third of the time.
    for key, (parameters, name) in slots.items():
        parameters[name] = nn.Parameter(tensors[key])
    for _, module in modules:
        module.__dict__["training"] = False


Slots = Mapping[str, tuple[dict[str, nn.Parameter | None], str]]
"""Name of a parameter in the model -> its module's table, and its name there."""


def _modules(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    yield prefix, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _modules(child, f"{prefix}{name}.")


def _check(slots: Slots, tensors: Mapping[str, Tensor]) -> None:
    missing = [key for key in slots if key not in tensors]
    unexpected = [key for key in tensors if key not in slots]
    misshapen, mistyped = [], []
    dtype = _prevailing_dtype(tensors)
    for key, (parameters, name) in slots.items():
        tensor, empty = tensors.get(key), parameters[name]
        if tensor is None or empty is None:
            continue
        shape = empty.shape
        if tensor.shape != shape:
            misshapen.append(f"{key}: {_by(tensor.shape)}, the model has {_by(shape)}")
        if tensor.dtype is not dtype:
            mistyped.append(f"{key}: {tensor.dtype}")
    if missing or unexpected or misshapen or mistyped:
        raise _error(missing, unexpected, misshapen, mistyped)


def _prevailing_dtype(tensors: Mapping[str, Tensor]) -> torch.dtype | None:
    """The usable dtype of most tensors: when one tensor of four hundred differs, that one is named."""
    counted = Counter(tensor.dtype for tensor in tensors.values() if tensor.dtype in DTYPES)
    return counted.most_common(1)[0][0] if counted else None


def _error(
    missing: Sequence[str], unexpected: Sequence[str], misshapen: Sequence[str], mistyped: Sequence[str]
) -> AssignError:
    groups = {
        "missing": missing,
        "unexpected": unexpected,
        "of another shape": misshapen,
        "of a dtype that is not the one floating dtype of the rest": mistyped,
    }
    lines = [f"  {len(names)} {what}: {_some(names)}" for what, names in groups.items() if names]
    return AssignError(
        "\n".join(["the tensors do not fit the model:", *lines]),
        missing=missing,
        unexpected=unexpected,
        misshapen=misshapen,
        mistyped=mistyped,
    )


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"
