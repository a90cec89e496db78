"""For tests, ours and applications': a Hub on loopback, and original-format checkpoints of any size.

    pytest_plugins = ["depthhub.testing.plugin"]            # fixture `local_hub`

    from depthhub import from_pretrained
    from depthhub.testing import Fault, LocalHub, make_checkpoint

    def test_a_dropped_connection_is_resumed(local_hub, tmp_path):
        file = make_checkpoint(tmp_path / "tiny.pth", encoder="tiny")
        local_hub.add_file("owner/repo", "tiny.pth", file)
        local_hub.inject(Fault.drop(after=1000))
        from_pretrained("owner/repo/tiny.pth", family="v2")

Needs NumPy where it makes numbers (`pip install "depthhub[testing]"`), torch where it writes `.pth` files.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from depthhub.testing.checkpoints import make_checkpoint
    from depthhub.testing.faults import Fault
    from depthhub.testing.layouts import transformers_config
    from depthhub.testing.local_hub import LocalHub
    from depthhub.testing.reception import LoggedRequest
    from depthhub.testing.reference import reference_image, reference_tensor
    from depthhub.testing.shapes import Size, original_shapes

__all__ = [
    "Fault",
    "LocalHub",
    "LoggedRequest",
    "Size",
    "make_checkpoint",
    "original_shapes",
    "reference_image",
    "reference_tensor",
    "transformers_config",
]

_HOMES = {
    "Fault": "faults",
    "LocalHub": "local_hub",
    "LoggedRequest": "reception",
    "Size": "shapes",
    "make_checkpoint": "checkpoints",
    "original_shapes": "shapes",
    "reference_image": "reference",
    "reference_tensor": "reference",
    "transformers_config": "layouts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
