"""depthhub: from a name to a Depth-Anything model.

    from depthhub import from_pretrained

    model = from_pretrained("vitl")
    depth = model.infer(image)

The public names are loaded when they are first used: `import depthhub` imports neither torch nor the Hub's client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .catalog import list_models
    from .depth_model import DepthModel
    from .errors import (
        AccessError,
        BrokenEntryError,
        BundleError,
        CacheError,
        CacheNotWritableError,
        CatalogError,
        CheckpointError,
        DepthHubError,
        FamilyError,
        HubError,
        HubTimeoutError,
        IntegrityError,
        LicenceError,
        LockfileError,
        MismatchError,
        NoSpaceError,
        NotFoundError,
        NotLockedError,
        OfflineError,
        OptionError,
        RemoteDamageError,
        RemoteError,
        RemoteSetupError,
        SettingsError,
        SourceError,
        UnknownKeysError,
        UnknownModelError,
        UnsafeCheckpointError,
        UnsupportedModelError,
    )
    from .identification import identify
    from .loading import from_pretrained
    from .locking import lock
    from .prewarming import prewarm
    from .resolution import resolve

__all__ = [
    "AccessError",
    "BrokenEntryError",
    "BundleError",
    "CacheError",
    "CacheNotWritableError",
    "CatalogError",
    "CheckpointError",
    "DepthHubError",
    "DepthModel",
    "FamilyError",
    "HubError",
    "HubTimeoutError",
    "IntegrityError",
    "LicenceError",
    "LockfileError",
    "MismatchError",
    "NoSpaceError",
    "NotFoundError",
    "NotLockedError",
    "OfflineError",
    "OptionError",
    "RemoteDamageError",
    "RemoteError",
    "RemoteSetupError",
    "SettingsError",
    "SourceError",
    "UnknownKeysError",
    "UnknownModelError",
    "UnsafeCheckpointError",
    "UnsupportedModelError",
    "from_pretrained",
    "identify",
    "list_models",
    "lock",
    "prewarm",
    "resolve",
]

_ROOMS = {
    "DepthModel": "depth_model",
    "from_pretrained": "loading",
    "lock": "locking",
    "identify": "identification",
    "list_models": "catalog",
    "prewarm": "prewarming",
    "resolve": "resolution",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'depthhub' has no attribute {name!r}")
    from .garbage import collection_paused

    with collection_paused():
        value = getattr(import_module(f".{_ROOMS.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
