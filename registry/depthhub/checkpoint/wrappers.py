"""From what was saved to the state dict in it: training states unpacked, prefixes taken off, only where unambiguous.

Every decision is put into words, for the record and for the user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import CheckpointError
from .cast import is_dense
from .layouts import Foreign, may_hold_a_model, recognise
from .pieces import are_same
from .words import few, listed, quoted, shown

DEPTH = 6
"""Prefixes before a name that are taken off. Training programs pile up two or three."""

NESTED = 32
"""Containers inside of containers that are looked through."""

INSERTED = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Parts of names that torch's own wrappers insert anywhere (compile, FSDP, activation checkpointing)."""


@dataclass(frozen=True, slots=True)
class StateDict:
    """Tensors under bare names, and in words what was done to get there."""

    tensors: dict[str, Tensor]
    decisions: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A dict with tensors in it: `trail` leads to it, `bare` are its tensors' names without prefixes."""

    trail: tuple[object, ...]
    content: Mapping[object, object]
    bare: Mapping[str, str]
    removed: tuple[str, ...]

    @classmethod
    def at(cls, trail: tuple[object, ...], content: Mapping[object, object]) -> _Found:
        names = [name for name, value in content.items() if isinstance(value, Tensor) and isinstance(name, str)]
        return cls(trail, content, *bare_names(names))

    @property
    def place(self) -> str:
        return shown(".".join(map(shown, self.trail))) or "the top level"

    def tensors(self) -> dict[str, Tensor]:
        # detach: a saved nn.Parameter would drag requires_grad along
        return {bare: self.content[name].detach() for name, bare in self.bare.items()}  # type: ignore[attr-defined]


def unwrap(saved: object, *, path: Path) -> StateDict:
    """The one state dict in `saved`, which is what torch.save was given.

    Raises CheckpointError where there is none, or where several could be meant.
    """
    found = [_Found.at(trail, content) for trail, content in _state_dicts(saved, path)]
    if not found:
        raise CheckpointError(
            f"{path} holds no state dict (tensors under names with dots), but {_kind(saved)}. Save model.state_dict().",
            path=path,
        )
    chosen, others = _choose(found, path)
    unnamed = [name for name, v in chosen.content.items() if isinstance(v, Tensor) and not isinstance(name, str)]
    if unnamed:
        raise CheckpointError(
            f"{path}: tensors without a name, under {listed(list(map(quoted, unnamed)), 8)}. Save model.state_dict().",
            path=path,
        )
    decisions = (*_taken(chosen), *few(others), *_ignored(saved, chosen, found), *chosen.removed)
    return StateDict(chosen.tensors(), decisions)


def _state_dicts(
    value: object, path: Path, trail: tuple[object, ...] = (), seen: set[int] | None = None
) -> Iterator[tuple[tuple[object, ...], Mapping[object, object]]]:
    """Every dict with dotted names of tensors, outermost first; one that is saved under two names counts once."""
    seen = set() if seen is None else seen
    if not isinstance(value, Mapping | list | tuple) or id(value) in seen:
        return
    if len(trail) > NESTED:
        raise CheckpointError(
            f"{path}: what it holds is nested more than {NESTED} deep, and is not looked through. Save "
            "model.state_dict().",
            path=path,
        )
    seen.add(id(value))
    if isinstance(value, Mapping) and any(
        isinstance(item, Tensor) and isinstance(name, str) and "." in name for name, item in value.items()
    ):
        yield trail, value
    for name, item in _items(value):
        yield from _state_dicts(item, path, (*trail, name), seen)


def _items(value: object) -> Iterable[tuple[object, object]]:
    """What lies in a container, by name or by place."""
    if isinstance(value, Mapping):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple) else ()


def _choose(found: list[_Found], path: Path) -> tuple[_Found, list[str]]:
    """The one that is meant, and why not the others."""
    if len(found) == 1:
        return found[0], []
    recognised = [(candidate, recognise(candidate.bare.values())) for candidate in found]
    models = [candidate for candidate, what in recognised if isinstance(what, str)]
    if models:  # whether what else could be one of ours is left to the user
        models = [candidate for candidate in found if candidate in models or may_hold_a_model(candidate.bare.values())]
    else:  # refused by name later on, if it is a model that is known
        models = [candidate for candidate, what in recognised if isinstance(what, Foreign)][:1] or found
    chosen, *rivals = models
    if not all(_same(chosen, rival) for rival in rivals):
        places = [f"'{candidate.place}'" for candidate in models]
        keys = "".join(f"[{quoted(part)}]" for part in rivals[0].trail)
        raise CheckpointError(
            f"{path} holds {len(models)} different sets of weights, under {listed(places, 12, ' and ')}. Save the one "
            f"that you mean in its own file: torch.save(torch.load({path.name!r}, weights_only=True){keys}, "
            "'weights.pth').",
            path=path,
        )
    reasons = [f"passed over '{rival.place}', which holds the same tensors" for rival in rivals]
    for candidate, what in recognised:
        if candidate not in models:
            known = what.name if isinstance(what, Foreign) else "no Depth-Anything model"
            reasons.append(f"passed over '{candidate.place}', which is {known}")
    return chosen, reasons


def _same(one: _Found, other: _Found) -> bool:
    mine, theirs = one.tensors(), other.tensors()
    return mine.keys() == theirs.keys() and all(
        (tensor.dtype, tensor.shape) == (theirs[name].dtype, theirs[name].shape)
        and is_dense(tensor)
        and is_dense(theirs[name])
        and are_same(tensor, theirs[name])
        for name, tensor in mine.items()
    )


def _taken(chosen: _Found) -> list[str]:
    return [f"took the {len(chosen.bare)} tensors under '{chosen.place}'"] if chosen.trail else []


def _ignored(saved: object, chosen: _Found, found: list[_Found]) -> list[str]:
    """What lies beside the weights: epoch numbers, the optimizer's state, settings."""
    accounted = [id(candidate.content) for candidate in found]
    beside: list[str] = []
    level: Any = saved
    for part in chosen.trail:
        beside += [
            f"{quoted(name)} ({_kind(item)})"
            for name, item in _items(level)
            if id(item) not in accounted and name != part
        ]
        level = level[part]
    beside += [f"{quoted(n)} ({_kind(item)})" for n, item in chosen.content.items() if not isinstance(item, Tensor)]
    return [f"ignored {listed(beside, 12)}"] if beside else []


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return "a tensor"
    if isinstance(value, Mapping):
        return f"a dict of {len(value)}"
    return "nothing" if value is None else f"{type(value).__name__}"


def bare_names(names: Collection[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Each name without the prefixes that all of them share, and the removals in words.

    A prefix goes only where what is left is recognised, so that nothing is lost of a model that nobody knows.
    """
    bare, removed = _without_inserted(names)
    stripped = list(bare.values())
    prefixes: list[str] = []
    while (found := recognise(stripped)) is None and len(prefixes) < DEPTH and (prefix := _common_prefix(stripped)):
        prefixes.append(prefix)
        stripped = [name.removeprefix(prefix) for name in stripped]
    if found is not None and prefixes:
        removed.append(f"removed the prefix '{shown(''.join(prefixes))}' from every name")
        bare = dict(zip(names, stripped, strict=True))
    return bare, tuple(removed)


def _without_inserted(names: Collection[str]) -> tuple[dict[str, str], list[str]]:
    bare = {name: ".".join(part for part in name.split(".") if part not in INSERTED) for name in names}
    inserted = sorted({part for name in names for part in name.split(".") if part in INSERTED})
    if not inserted or len(set(bare.values())) < len(bare):
        return {name: name for name in names}, []
    return bare, [f"removed '{part}.' wherever torch had inserted it" for part in inserted]


def _common_prefix(names: list[str]) -> str:
    firsts = {name.partition(".")[0] if "." in name else "" for name in names}
    first = firsts.pop() if len(firsts) == 1 else ""
    return f"{first}." if first else ""
