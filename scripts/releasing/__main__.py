"""Makes a release, step by step: `scripts/release STEP (TAG | --dry-run)`.

    check      the tag, the version, the changelog and the tree fit together
    build      the sdist and the wheel
    models     the converted checkpoints that may be redistributed: a remote store, bundles, cards
    manifest   reads all of it back, and writes manifest.json, SHA256SUMS and the notes
    upload     brings all of it into a draft on GitHub (GITHUB_TOKEN)
    publish    shows the draft to everybody
    all        one after the other

Each step can be repeated, and goes on where it was killed. With --dry-run nothing leaves this machine, and what a
release would stumble over is only told. docs/releasing.md says more.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from depthhub_cache.errors import DepthHubError

from .checkout import Checkout, problems
from .errors import ReleaseError
from .github import API, GitHub
from .release import Release, require_repository

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "dist" / "release"


def main(argv: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    args = _parser().parse_args(argv)
    try:
        release = _release(args, root)
        for name in STEPS if args.step == "all" else (args.step,):
            print(f"{name}: {release.tag}{' (a rehearsal)' if release.is_rehearsal else ''}", flush=True)
            STEPS[name](release)
    except (ReleaseError, DepthHubError) as error:
        print(f"scripts/release: {error}", file=sys.stderr)
        return 1
    return 0


def _check(release: Release) -> None:
    found = list(problems(release.checkout, release.tag))
    for problem in found:
        print(f"  {problem}", flush=True)
    if found and not release.is_rehearsal:
        raise ReleaseError(f"{release.tag} is not ready: {len(found)} things have to be mended first.")


def _build(release: Release) -> None:
    from .packages import build_packages

    for package in build_packages(release):
        print(f"  {package}", flush=True)


def _models(release: Release) -> None:
    from .models import make_models

    for model in make_models(release):
        print(f"  {model.name}: {model.licence}, {model.weights_size:,} bytes, key {model.key[:12]}", flush=True)


def _manifest(release: Release) -> None:
    from .manifest import make_manifest

    assets = make_manifest(release)
    print(f"  {len(assets)} assets of {sum(asset.size for asset in assets):,} bytes: {release.sums}", flush=True)


def _upload(release: Release) -> None:
    from .publishing import listed_assets, upload

    if not release.is_rehearsal:
        print(f"  {upload(release, _github(release), lambda line: print(f'  {line}', flush=True)).page}", flush=True)
        return
    for asset in listed_assets(release):
        print(f"  would be uploaded: {asset.name}, {asset.size:,} bytes", flush=True)


def _publish(release: Release) -> None:
    from .publishing import publish

    if release.is_rehearsal:
        print(f"  would be published at {release.server}/{release.repository}/releases/tag/{release.tag}", flush=True)
    else:
        print(f"  {publish(release, _github(release)).page}", flush=True)


STEPS: Mapping[str, Callable[[Release], None]] = {
    "check": _check,
    "build": _build,
    "models": _models,
    "manifest": _manifest,
    "upload": _upload,
    "publish": _publish,
}


LOCAL = ("check", "build")
"""Steps in whose results no repository is named."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=[*STEPS, "all"], metavar="STEP")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("tag", nargs="?", metavar="TAG", help="v and the version, such as v0.1.0")
    what.add_argument("--dry-run", action="store_true", help="rehearse the release of the version in pyproject.toml")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="where it is made (dist/release)")
    parser.add_argument(
        "--repository",
        default=os.environ.get("GITHUB_REPOSITORY", ""),
        metavar="OWNER/REPOSITORY",
        help="on GitHub (GITHUB_REPOSITORY)",
    )
    parser.add_argument(
        "--only", action="append", metavar="PATTERN", help="of the models, those whose names fit it; may be repeated"
    )
    return parser


def _release(args: argparse.Namespace, root: Path) -> Release:
    checkout = Checkout.of(root)
    if not args.dry_run and args.step != "check" and args.tag != checkout.tag:
        raise ReleaseError(f"{checkout.tag} is checked out, and not {args.tag}.")
    return Release(
        checkout=checkout,
        tag=checkout.tag if args.dry_run else args.tag,
        repository=args.repository if args.step in LOCAL else require_repository(args.repository),
        server=os.environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/"),
        out=args.out.absolute(),
        only=tuple(args.only or ["*"]),
        is_rehearsal=args.dry_run,
    )


def _github(release: Release) -> GitHub:
    token = os.environ.get("GITHUB_TOKEN", "")
    if not token:
        raise ReleaseError("There is no token: set GITHUB_TOKEN to one that may write to the repository's contents.")
    return GitHub(release.repository, token, api=os.environ.get("GITHUB_API_URL", API))


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("depthhub").setLevel(logging.INFO)
    sys.exit(main())
