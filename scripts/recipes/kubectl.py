"""Stands for kubectl, as far as docs/deploy.md uses it: apply, rollout status, wait, logs; by `pods.py`.

What was applied runs in processes of its own, noted in the folder that RECIPES_STATE names, until `end_all` ends them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from .docker import image_path
from .images import Image
from .pods import Node, read_manifest

Resource = dict[str, Any]

_RESULT = "result"


def main(argv: Sequence[str]) -> int:
    cluster = Cluster(Path(os.environ["RECIPES_STATE"]))
    args = _parser().parse_args(argv)
    match args.verb:
        case "apply":
            for resource in read_manifest(args.file):
                print(f"{cluster.apply(resource)} created")
            return 0
        case "rollout":
            return 0 if _wait_until(lambda: cluster.is_ready(args.resource), args.timeout) else 1
        case "wait":
            return 0 if _wait_until(lambda: cluster.is_complete(args.resource), args.timeout) else 1
        case "logs":
            sys.stdout.write(cluster.logs(args.resource))
            return 0
        case "run-pods":
            return cluster.run_pods(args.resource)
    raise AssertionError(args.verb)


class Cluster:
    """One node, and what was applied: a folder each, named as `kubectl` prints it."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "cluster"
        env = {name: os.environ[name] for name in ("HF_ENDPOINT",) if name in os.environ}  # as a mirror is set
        self.node = Node(state / "node", lambda tag: Image.read(image_path(state, tag)), env)
        self.node.folder.mkdir(exist_ok=True)

    def apply(self, resource: Resource) -> str:
        """Start its pods: kind/name."""
        name = f"{resource['kind'].lower()}/{resource['metadata']['name']}"
        folder = self.folder / name
        folder.mkdir(parents=True)
        (folder / "resource.json").write_text(json.dumps(resource))
        process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, "run-pods", name],
            stdout=(folder / "pods").open("w"),
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder)},  # what it has no time to remove goes with the cluster
            start_new_session=True,
        )
        (folder / "pid").write_text(str(process.pid))
        return name

    def run_pods(self, name: str) -> int:
        """All pods of what was applied, side by side, to their end."""
        spec = self._resource(name)["spec"]
        count = spec.get("parallelism", 1)
        with ThreadPoolExecutor(count) as pool:
            logs = [self.folder / name / f"log-{number}" for number in range(count)]
            codes = list(pool.map(lambda log: self.node.run(spec["template"]["spec"], log), logs))
        (self.folder / name / _RESULT).write_text(str(max(codes)))
        return max(codes)

    def is_ready(self, name: str) -> bool:
        return self.node.is_ready(self._resource(name)["spec"]["template"]["spec"])

    def is_complete(self, name: str) -> bool:
        """Whether all pods ended well. Raises SystemExit where one did not, which would be asked for ever."""
        result = self.folder / name / _RESULT
        if not result.exists():
            return False
        if code := int(result.read_text() or "1"):
            sys.exit(f"{name} ended with {code}:\n{self.logs(name)}")
        return True

    def logs(self, name: str) -> str:
        folder = self.folder / name
        return "".join(log.read_text() for log in sorted(folder.glob("log-*"))) or (folder / "pods").read_text()

    def _resource(self, name: str) -> Resource:
        resource: Resource = json.loads((self.folder / name / "resource.json").read_text())
        return resource


def end_all(state: Path) -> None:
    """End every process of what was applied."""
    for pid in (state / "cluster").glob("*/*/pid"):
        with suppress(ProcessLookupError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)


def _wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.3)
    return False


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubectl", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    apply = verbs.add_parser("apply", allow_abbrev=False)
    apply.add_argument("-f", dest="file", type=Path, required=True)
    rollout = verbs.add_parser("rollout", allow_abbrev=False)
    rollout.add_argument("what", choices=("status",))
    wait = verbs.add_parser("wait", allow_abbrev=False)
    wait.add_argument("--for", choices=("condition=complete",), required=True)
    for verb in (rollout, wait):
        verb.add_argument("--timeout", type=_seconds, default=300.0)
    for verb in (rollout, wait, verbs.add_parser("logs"), verbs.add_parser("run-pods")):
        verb.add_argument("resource")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
