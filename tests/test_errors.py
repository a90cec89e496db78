"""One family of errors: each is also the built-in that fits, and travels between processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import depthhub
from depthhub import errors

EXAMPLES: dict[str, tuple[errors.DepthHubError, type[BaseException]]] = {
    "OptionError": (errors.OptionError("m", option="dtype", value="int8"), ValueError),
    "SettingsError": (errors.SettingsError("m", variable="X", value="y"), ValueError),
    "SourceError": (errors.SourceError("m", text="a b"), ValueError),
    "UnknownModelError": (errors.UnknownModelError("m", name="vitx", suggestions=["vits"]), LookupError),
    "UnsupportedModelError": (errors.UnsupportedModelError("m", name="v2-vitg", reason="why"), ValueError),
    "CatalogError": (errors.CatalogError("m", path=Path("c.json"), entry="x", field="size"), ValueError),
    "NotFoundError": (errors.NotFoundError("m", source="a/b", suggestions=["c"]), FileNotFoundError),
    "AccessError": (errors.AccessError("m", source="a/b", gated=True), PermissionError),
    "OfflineError": (errors.OfflineError("m", source="a/b"), ConnectionError),
    "HubError": (errors.HubError("m", source="a/b", status=503), ConnectionError),
    "HubTimeoutError": (
        errors.HubTimeoutError("m", source="a/b", limit="stall_timeout", seconds=30.0),
        TimeoutError,
    ),
    "IntegrityError": (errors.IntegrityError("m", source="a/b", expected="0", found="1"), ValueError),
    "CheckpointError": (errors.CheckpointError("m", path=Path("x.pth")), ValueError),
    "UnsafeCheckpointError": (
        errors.UnsafeCheckpointError("m", path=Path("x.pth"), offending=["x"]),
        ValueError,
    ),
    "UnknownKeysError": (errors.UnknownKeysError("m", path=Path("x.pth"), unexpected=["a"], missing=["b"]), ValueError),
    "MismatchError": (errors.MismatchError("m", path=Path("x.pth"), expected="vitl", found="vitb"), ValueError),
    "LicenceError": (
        errors.LicenceError("m", source="vitl", licence="cc-by-nc-4.0", stated_by="the catalog", allowed=["mit"]),
        PermissionError,
    ),
    "LockfileError": (errors.LockfileError("m", path=Path("depthhub.lock"), field="key"), ValueError),
    "NotLockedError": (errors.NotLockedError("m", source="vitl", path=Path("depthhub.lock")), PermissionError),
    "FamilyError": (errors.FamilyError("m", source="x"), ValueError),
    "RemoteDamageError": (
        errors.RemoteDamageError("m", url="s3://models", key="0", reason="why"),
        ConnectionError,
    ),
    "RemoteError": (errors.RemoteError("m", url="s3://models", key="0", reason="why"), ConnectionError),
    "RemoteSetupError": (errors.RemoteSetupError("m", url="s4://models", key=None, reason="why"), ConnectionError),
    "CacheError": (errors.CacheError("m", path=Path("c")), OSError),
    "NoSpaceError": (errors.NoSpaceError("m", path=Path("c"), free=1, needed=3, reclaimable=0), OSError),
    "CacheNotWritableError": (errors.CacheNotWritableError("m", path=Path("c")), OSError),
    "BrokenEntryError": (errors.BrokenEntryError("m", path=Path("c")), OSError),
    "BundleError": (errors.BundleError("m", path=Path("x.tar"), member="bundle.json"), OSError),
}


def test_every_public_error_has_an_example_here() -> None:
    public = {name for name in depthhub.__all__ if name.endswith("Error")} - {"DepthHubError"}
    assert public == set(EXAMPLES)
    assert public | {"DepthHubError"} == set(errors.__all__)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_error_is_of_the_family_and_of_the_built_in_that_fits(name: str) -> None:
    error, built_in = EXAMPLES[name]
    assert type(error) is getattr(depthhub, name)
    assert isinstance(error, errors.DepthHubError)
    assert isinstance(error, built_in)
    assert str(error) == "m"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_error_keeps_its_facts_when_it_is_pickled(name: str) -> None:
    error, _ = EXAMPLES[name]
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error) != {}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_tree_at_the_top_of_the_module_draws_every_error(name: str) -> None:
    from depthhub_cache import errors as of_the_store

    assert name in f"{errors.__doc__}{of_the_store.__doc__}"
