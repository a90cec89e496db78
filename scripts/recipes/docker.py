"""Stands for docker, as far as docs/deploy.md uses it: `docker build` and `docker run`, by `images.py`.

The images lie in the folder that RECIPES_STATE names. What is not known here is a usage error, never ignored.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .container import Mount
from .images import Builder, Image


def main(argv: Sequence[str]) -> int:
    state = Path(os.environ["RECIPES_STATE"])
    args = _parser().parse_args(argv)
    return _build(args, state) if args.verb == "build" else _run(args, state)


def image_path(state: Path, tag: str) -> Path:
    return state / "images" / f"{tag.replace('/', '_')}.json"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="docker", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    build = verbs.add_parser("build", allow_abbrev=False)
    build.add_argument("-t", "--tag", required=True)
    build.add_argument("--target")
    build.add_argument("--build-arg", action="append", default=[])
    build.add_argument("--secret", action="append", default=[])
    build.add_argument("context", type=Path)
    run = verbs.add_parser("run", allow_abbrev=False)
    run.add_argument("--rm", action="store_true", required=True)
    run.add_argument("--read-only", action="store_true")
    run.add_argument("--network", choices=("none",))
    run.add_argument("--user")
    run.add_argument("--cap-drop", choices=("ALL",))
    run.add_argument("--tmpfs", action="append", default=[])
    run.add_argument("-v", "--volume", action="append", default=[])
    run.add_argument("-e", "--env", action="append", default=[])
    run.add_argument("image")
    run.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _build(args: argparse.Namespace, state: Path) -> int:
    arguments = {}
    for text in args.build_arg:
        name, given, value = text.partition("=")
        if given or name in os.environ:
            arguments[name] = value if given else os.environ[name]
    secrets = {}
    for text in args.secret:
        options = dict(option.split("=", 1) for option in text.split(","))
        if options["env"] in os.environ:
            secrets[options["id"]] = os.environ[options["env"]]
    folder = Path(tempfile.mkdtemp(prefix="build-", dir=state))
    base = Image.read(state / "base.json")
    try:
        image = Builder(base, folder, args.context.absolute(), arguments, secrets).build(
            args.context / "Dockerfile", args.target
        )
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    image_path(state, args.tag).parent.mkdir(exist_ok=True)
    image.save(image_path(state, args.tag))
    return 0


def _run(args: argparse.Namespace, state: Path) -> int:
    image = Image.read(image_path(state, args.image))
    env = dict(text.split("=", 1) for text in args.env)
    mounts = []
    for text in args.volume:
        source, target, *options = text.split(":")
        Path(source).mkdir(parents=True, exist_ok=True)
        mounts.append(Mount(Path(source), target, read_only="ro" in options))
    container = image.start(user=args.user, env=env)._replace(
        mounts=tuple(mounts),
        memory=tuple(args.tmpfs),
        capable=args.cap_drop is None,
        read_only=args.read_only,
        network=args.network is None,
    )
    with container.ready([*image.entrypoint, *(args.command or image.command)]) as command:
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
