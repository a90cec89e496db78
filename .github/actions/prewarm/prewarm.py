"""The step that has every model of the lockfile in the cache, to the byte, and nothing else.

What was restored is held against the lockfile first: an entry that it does not name, or that has other weights than it
says, is removed, and one whose bytes have changed is set aside. Then what is missing is pulled, and all is verified.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from install import install_torch, python
from runner import export, fail, set_output, summarise, warn
from summary import Model, summary

_SOUND, _BROKEN = 0, 6
"""How `depthhub verify` ends: all is as it should be; something is not, and was set aside."""


def main() -> None:
    lockfile, cache = Path(os.environ["PREWARM_LOCKFILE"]), Path(os.environ["PREWARM_PATH"])
    key, restored_key = os.environ["PREWARM_KEY"], os.environ["PREWARM_RESTORED_KEY"]
    export("DEPTHHUB_CACHE", str(cache))
    export("DEPTHHUB_LOCKFILE", str(lockfile))
    depthhub = _Depthhub(lockfile, cache)

    locked = json.loads(lockfile.read_text(encoding="utf-8"))["models"]
    sizes = {model["key"]: model["weights_size"] for model in locked}
    removed = _remove_what_is_not_locked(locked, depthhub)
    damaged = _set_damage_aside(depthhub) | (removed & sizes.keys())
    there = {entry["key"] for entry in depthhub.json("cache", "list")}
    missing = sizes.keys() - there
    if missing:
        install_torch()
        depthhub.run("pull", "--locked")
        depthhub.run("verify", "--deep")

    hit = restored_key == key and not missing
    if restored_key == key and not hit:
        warn(
            f"What was kept under {key} is not what the lockfile names, and was mended for this run. A kept cache "
            f"cannot be changed; remove it, and the next run keeps a sound one: gh cache delete {key}"
        )
    set_output("cache-hit", "true" if hit else "false")
    set_output("bytes", str(sum(sizes.values())))
    set_output("save", "true" if restored_key != key else "false")
    models = [Model.of(model, was_there=model["key"] in there, damaged=model["key"] in damaged) for model in locked]
    summarise(summary(models, key=key, restored_key=restored_key, hit=hit, removed=len(removed - sizes.keys())))


class _Depthhub:
    """The command line of the installed depthhub, with this cache and this lockfile, whatever the job has set."""

    def __init__(self, lockfile: Path, cache: Path) -> None:
        ours = {"DEPTHHUB_LOCKFILE": str(lockfile), "DEPTHHUB_CACHE": str(cache)}
        # A budget would remove what the lockfile names, and kept originals would double what is saved.
        others = ("DEPTHHUB_MAX_SIZE", "DEPTHHUB_MAX_AGE", "DEPTHHUB_KEEP_SOURCE")
        self._env = {**{name: value for name, value in os.environ.items() if name not in others}, **ours}

    def run(self, *arguments: str, ends: tuple[int, ...] = (_SOUND,)) -> str:
        """What it prints. Ends the step, with its code, where it ends otherwise than expected."""
        command = [python(), "-m", "depthhub", *arguments]
        done = subprocess.run(command, env=self._env, check=False, text=True, stdout=subprocess.PIPE, encoding="utf-8")
        if done.returncode not in ends:
            print(done.stdout, flush=True)
            fail(f"`depthhub {' '.join(arguments)}` ended with {done.returncode}; see above why.", done.returncode)
        return done.stdout

    def json(self, *arguments: str, ends: tuple[int, ...] = (_SOUND,)) -> Any:
        return json.loads(self.run(*arguments, "--json", ends=ends))


def _remove_what_is_not_locked(locked: list[dict[str, Any]], depthhub: _Depthhub) -> set[str]:
    """The keys of the removed: entries of an older lockfile, and those whose weights are not the locked ones."""
    wanted = {(model["key"], model["weights_sha256"]) for model in locked}
    entries = depthhub.json("cache", "list")
    others = {one["key"] for one in entries if (one["key"], one["record"]["weights_sha256"]) not in wanted}
    if others:
        depthhub.run("cache", "remove", "--force", *sorted(others))
    return others


def _set_damage_aside(depthhub: _Depthhub) -> set[str]:
    """The keys of entries whose bytes are not what they were. They are made again, and nobody needs what is there."""
    checked = depthhub.json("verify", "--deep", ends=(_SOUND, _BROKEN))
    damaged = {one["key"] for one in checked if one["state"] == "broken" and one["key"]}
    if any(one["state"] == "broken" for one in checked):
        depthhub.run("cache", "quarantine", "--clear")
    return damaged


if __name__ == "__main__":
    main()
