"""The first step: where the cache is, and the key under which it is kept between runs.

The key is the digest of the lockfile, behind the layout version of its models. So another lockfile has another key, and
what was kept for an older one of the same layout is found by the beginning of the key, and used again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from runner import fail, set_output


def main() -> None:
    workspace = Path(os.environ["GITHUB_WORKSPACE"])
    lockfile = workspace / os.environ["PREWARM_LOCKFILE"]
    given = os.environ["PREWARM_CACHE_DIR"]
    path = workspace / given if given else Path(os.environ["RUNNER_TEMP"]) / "depthhub-cache"
    try:
        text = lockfile.read_text(encoding="utf-8")  # the ends of lines as git has them, also on Windows
        layouts = {model["recipe"]["layout_version"] for model in json.loads(text)["models"]}
    except FileNotFoundError:
        fail(
            f"There is no lockfile {lockfile}. Write one with `depthhub lock SOURCE...`, and check out the repository."
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        fail(f"{lockfile} cannot be read as a lockfile ({error!r}). `depthhub lock` writes it anew.")
    beginning = f"depthhub-layout{'+'.join(sorted(map(str, layouts)))}-"
    set_output("lockfile", str(lockfile))
    set_output("path", str(path))
    set_output("key", beginning + hashlib.sha256(text.encode()).hexdigest())
    set_output("restore-key", beginning)


if __name__ == "__main__":
    main()
