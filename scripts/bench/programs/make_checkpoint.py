"""Makes the files that the others read: a checkpoint by rule, and the same weights as transformers keeps them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from depthhub.testing import make_checkpoint, transformers_config
from depthhub.testing.layouts import names_in


def run(given: Mapping[str, Any]) -> None:
    """given: `encoder`, `checkpoint`; `folder` of the port, or None. What is there stays."""
    checkpoint = Path(given["checkpoint"])
    if not checkpoint.exists():
        part = checkpoint.with_suffix(".part")
        make_checkpoint(part, encoder=given["encoder"], container="pth").rename(checkpoint)
    if given["folder"] is not None and not (folder := Path(given["folder"])).exists():
        part = folder.with_suffix(".part")
        part.mkdir(exist_ok=True)
        _port(checkpoint, given["encoder"], part)
        part.rename(folder)


def _port(checkpoint: Path, encoder: str, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(transformers_config(encoder)))
    ported: dict[str, torch.Tensor] = {}
    for key, tensor in torch.load(checkpoint, weights_only=True, mmap=True).items():
        names = names_in("transformers", key)
        ported |= dict(zip(names, tensor.chunk(len(names)), strict=True))
    save_file(ported, folder / "model.safetensors", metadata={"format": "pt"})
