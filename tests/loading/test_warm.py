"""With the entry present a call opens and maps one file, and does nothing that it could not do without.

These are structure, not timings.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from depthhub import from_pretrained, prewarm
from depthhub.testing import LocalHub

from .conftest import Python

WATCHED = """
import sys
events = []
NEVER = ("os.mkdir", "os.rename", "os.remove", "os.utime", "os.chmod", "fcntl.flock", "fcntl.lockf")
def watch(event, args):
    writes = event == "open" and (args[2] & 0o3 or (isinstance(args[1], str) and set(args[1]) & set("wax+")))
    lists = event in ("os.listdir", "os.scandir") and str(args[0]).startswith(sys.argv[2])
    if writes and "__pycache__" not in str(args[0]) or lists or event in NEVER or event.startswith("socket."):
        events.append(f"{event} {args}")
MARKS = ("/v1/used", "/v1/leases")  # empty files, that this process leaves if it can
import torch, safetensors.torch
import depthhub
sys.addaudithook(watch)
model = depthhub.from_pretrained(sys.argv[1], family="v2", cache_dir=sys.argv[2])
print([event for event in events if "__pycache__" not in event and not any(mark in event for mark in MARKS)])
print(sum(event.startswith("open ") for event in events))
CLIENTS = ("huggingface_hub", "filelock", "PIL", "requests", "httpx", "httpx2")
print(sorted(name for name in CLIENTS if name in sys.modules))
"""


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_a_warm_call_opens_no_socket_takes_no_lock_and_writes_nothing_but_empty_marks(
    local_hub: LocalHub, tiny: Path, cache: Path, python: Python
) -> None:
    local_hub.add_file("owner/repo", "tiny.pth", tiny)
    prewarm(["owner/repo/tiny.pth"], family="v2", cache_dir=cache)
    events, marks, modules = python(WATCHED, "owner/repo/tiny.pth", str(cache)).stdout.splitlines()
    assert events == "[]"
    assert int(marks) == 2  # that the entry was used, and that it is open
    assert "huggingface_hub" not in modules
    assert "filelock" not in modules


def test_the_parameters_are_the_map_itself(tiny: Path, cache: Path) -> None:
    model = from_pretrained(tiny, family="v2", cache_dir=cache)
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("tells from /proc where a tensor's memory lies")
    spans = [
        tuple(int(end, 16) for end in line.split()[0].split("-"))
        for line in maps.read_text().splitlines()
        if line.endswith(str(model.provenance.path))
    ]
    for name, parameter in model.named_parameters():
        address = parameter.data_ptr()
        assert any(start <= address < end for start, end in spans), f"{name} is a copy"


def test_a_warm_load_holds_no_private_page_of_the_weights(tiny: Path, cache: Path, python: Python) -> None:
    [done] = prewarm([tiny], family="v2", cache_dir=cache)
    if not Path("/proc/self/smaps").exists():
        pytest.skip("asks the Linux kernel")
    code = """
import sys, depthhub, torch
from pathlib import Path
model = depthhub.from_pretrained(sys.argv[1], family="v2", cache_dir=sys.argv[2])
print(sum(float(parameter.sum()) for parameter in model.parameters()))  # every page is touched
private = 0
for area in Path("/proc/self/smaps").read_text().split("VmFlags"):
    if sys.argv[3] in area:
        private += sum(int(line.split()[1]) for line in area.splitlines() if line.startswith("Private_Dirty"))
        print(private)
"""
    _, private = python(code, str(tiny), str(cache), str(done.path)).stdout.split()
    assert int(private) == 0


ELSEWHERE = """
    depthhub.bundles depthhub.checkpoint.convert depthhub.checkpoint.hints depthhub.checkpoint.onto_device
    depthhub.checkpoint.reading depthhub.checkpoint.shapes depthhub.cli depthhub.hub depthhub.model.bicubic
    depthhub.model.preprocess depthhub.quantities depthhub.steps.make depthhub.steps.obtain depthhub.steps.room
    depthhub.transfer depthhub_cache.bundles depthhub_cache.collection depthhub_cache.doctor depthhub_cache.kept
    depthhub_cache.label depthhub_cache.locks depthhub_cache.quarantine depthhub_cache.space depthhub_cache.staging
    depthhub_cache.usage depthhub_cache.verification hmac secrets tqdm filelock platformdirs huggingface_hub
"""


def test_a_warm_load_imports_nothing_that_only_other_ways_need(tiny: Path, cache: Path, python: Python) -> None:
    prewarm([tiny], family="v2", cache_dir=cache)
    code = f"""
import sys, torch, safetensors.torch
before = set(sys.modules)
import depthhub
depthhub.from_pretrained(sys.argv[1], family="v2", cache_dir=sys.argv[2])
print([name for name in {ELSEWHERE.split()} if name in set(sys.modules) - before])
print(sum(name.startswith("depthhub") for name in sys.modules))
"""
    elsewhere, ours = python(code, str(tiny), str(cache)).stdout.splitlines()
    assert elsewhere == "[]"
    assert int(ours) <= 64  # each costs a tenth of a millisecond


def test_no_field_of_a_named_tuple_is_annotated_with_a_text(
    tiny: Path, cache: Path, python: Python, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text would be compiled when its class is defined: in all a millisecond of the first call."""
    for seconds in ("_RACY_SECONDS", "_SLOW_SECONDS"):  # else a file made just now is hashed again
        monkeypatch.setattr(f"depthhub.steps.local_file.{seconds}", 0.0)
    prewarm([tiny], family="v2", cache_dir=cache)
    code = """
import inspect, sys, typing, depthhub
depthhub.from_pretrained(sys.argv[1], family="v2", cache_dir=sys.argv[2])
ours = [module for name, module in sys.modules.items() if name.partition(".")[0] in ("depthhub", "depthhub_cache")]
defined = {thing for module in ours for thing in vars(module).values() if isinstance(thing, type)}
named = [thing for thing in defined if issubclass(thing, tuple) and thing.__module__.startswith("depthhub")]
fields = [(thing, *field) for thing in named for field in inspect.get_annotations(thing).items()]
print([f"{thing.__name__}.{name}" for thing, name, of in fields if isinstance(of, (str, typing.ForwardRef))])
print(len(fields))
"""
    texts, fields = python(code, str(tiny), str(cache)).stdout.splitlines()
    assert texts == "[]"
    assert int(fields) > 100


@pytest.mark.parametrize("code", ["import depthhub", "import depthhub; depthhub.list_models()", "import depthhub.cli"])
def test_nothing_slow_is_imported_early(python: Python, code: str) -> None:
    heavy = ["torch", "huggingface_hub", "numpy", "PIL", "safetensors", "tqdm", "filelock"]
    found = python(f"import sys\n{code}\nprint([m for m in {heavy} if m in sys.modules])").stdout.strip()
    assert found == "[]"


def test_prewarming_what_is_there_needs_no_torch(tiny: Path, cache: Path, python: Python) -> None:
    prewarm([tiny], family="v2", cache_dir=cache)
    code = """
import sys, depthhub
[done] = depthhub.prewarm([sys.argv[1]], family="v2", cache_dir=sys.argv[2])
print(done.cached, "torch" in sys.modules, "huggingface_hub" in sys.modules)
"""
    assert python(code, str(tiny), str(cache)).stdout.split() == ["True", "False", "False"]


def test_every_public_name_is_there_and_documented() -> None:
    import depthhub

    for name in depthhub.__all__:
        assert getattr(depthhub, name).__doc__, name
    assert {"DepthModel", "from_pretrained", "identify", "list_models", "lock", "prewarm", "resolve"} == {
        name for name in depthhub.__all__ if not name.endswith("Error")
    }
