"""An environment of its own, and everything imported once: what is forked from here is at work within milliseconds."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path

_OURS_AND_THEIRS = ("DEPTHHUB_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_")

_THEIRS = ("torch", "safetensors.torch", "huggingface_hub", "filelock", "platformdirs")
_NOT_FOR_IMPORT = ("depthhub.__main__", "depthhub.testing.plugin")


def get_ready(home: Path) -> None:
    """Nothing of the user's environment has a say, nothing leaves this machine; torch starts no threads."""
    for name in [name for name in os.environ if name.startswith(_OURS_AND_THEIRS)]:
        del os.environ[name]
    os.environ.update(
        HF_HOME=str(home / "hf"),
        HF_HUB_CACHE=str(home / "hf" / "hub"),
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_XET="1",
        HF_ENDPOINT="http://127.0.0.1:9",  # nobody: whoever wants a Hub names one
        NO_PROXY="127.0.0.1,localhost",
        no_proxy="127.0.0.1,localhost",
        OMP_NUM_THREADS="1",
    )
    for name in (*_THEIRS, *_all_of_ours()):
        importlib.import_module(name)

    import torch

    torch.set_num_threads(1)
    # What goes wrong on purpose is warned of; the table says what counts.
    for name in ("depthhub", "depthhub_cache"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    gc.collect()
    gc.freeze()


def _all_of_ours() -> Iterator[str]:
    """Every module, so that a process that may not read this folder finds them all in its memory."""
    for package in ("depthhub", "depthhub_cache"):
        yield package
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if module.name not in _NOT_FOR_IMPORT:
                yield module.name
