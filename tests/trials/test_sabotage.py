"""Each trial finds what is broken on purpose."""

from __future__ import annotations

import pytest

from .conftest import Torture

pytestmark = pytest.mark.slow

# What each trial is to find, the Python that breaks it, and what is told then.
SABOTAGE = {
    "kill": (  # a sweep that removes nothing
        "from depthhub_cache.store import Store\nStore.sweep = lambda self: 0",
        "is left",
    ),
    "race": (  # locks that exclude nobody
        "from contextlib import nullcontext\nfrom depthhub_cache.store import Store\n"
        "Store.lock = lambda *_, **__: nullcontext(True)",
        "where 1 is right",
    ),
    "read-only": (  # a load that has to write
        "from depthhub_cache.store import Store\nlease = Store.lease\n"
        "def written(self, entry):\n"
        "    (self.root / 'v1' / 'tmp' / 'x').mkdir()\n    (self.root / 'v1' / 'tmp' / 'x').rmdir()\n"
        "    return lease(self, entry)\n"
        "Store.lease = written",
        "with v1/tmp",
    ),
    "hub": (  # a library that gives up at once
        "from depthhub.transfer import attempts\nattempts.PATIENCE = 1",
        "it passes, and the call raised",
    ),
    "fsync": (  # nobody syncs anything; of one act alone, since this leaves very many states
        "from trials import fsync\nrecord = fsync.record\nfsync.ACTS = {'publish': fsync.ACTS['publish']}\n"
        "fsync.record = lambda *a, **k: [call for call in record(*a, **k) if call.what != 'sync']",
        "is half there",
    ),
    "flip": (  # deep verification reads nothing
        "from depthhub_cache import verification\nverification._check_bytes = lambda *_: True",
        "deep verification finds nothing",
    ),
    "flip --loads": (  # verify=True believes everything
        "from depthhub.steps import find\nfind._is_sound = lambda *_: True",
        "a wrong model",
    ),
    "machine": (  # a collection goes by the wrong end of its list
        "from depthhub_cache import collection\ncollection.last_use = lambda tier, key: 0.0",
        "AssertionError",
    ),
    "schedules": (  # an entry is published file by file, over what is there
        "from depthhub_cache import disk\n"
        "def publish_folder(folder, target):\n"
        "    disk.make_folder(target)\n"
        "    for name in ('entry.json', 'weights.safetensors'):\n"
        "        (folder / name).replace(target / name)\n"
        "    return True\n"
        "disk.publish_folder = publish_folder",
        "what was sound and pinned is not there any more",
    ),
    "answers": (  # what the Hub says is never remembered
        "from depthhub.steps.remembered import Earlier\nEarlier.stands = lambda *_: False",
        "remembers None of",
    ),
    "fuzz": (  # a record without a name of its weights
        "from depthhub_cache import record\nrecord.is_file_name = lambda text: '/' not in text",
        "VIOLATION records of entries: TypeError",
    ),
}
COUNTS = {"hub": ["--pairs", "0", "--threes", "0"], "read-only": ["--folders", "2", "--strangers", "0"]}


@pytest.mark.parametrize("way", SABOTAGE)
def test_what_is_broken_on_purpose_is_found(way: str, torture: Torture) -> None:
    sabotage, told = SABOTAGE[way]
    found = torture(way.partition(" ")[0], "--short", "--seed", "1", *COUNTS.get(way, []), sabotage=sabotage)
    assert found.returncode == 1, found.stdout + found.stderr
    assert told in found.stdout
    assert "an undisturbed call" not in found.stdout
