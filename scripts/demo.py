"""The main job, end to end, step by step, with times and bytes.

Without arguments nothing but this machine is needed: a Hub-protocol server on loopback offers a full-size V2 `vits`
checkpoint. Its weights are made by a rule, so its depth map is well formed and means nothing. With --hub the same steps
run against the real Hub with the real `vits` (99 MB), and the picture is a depth map indeed.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
PHOTO = HERE / "docs" / "images" / "coffee.jpg"
REPO, FILE = "demo/Depth-Anything-V2-Small-made-by-rule", "depth_anything_v2_vits.pth"

SECOND_PROCESS = """
import sys, time
import torch                                    # what every user of a model has imported anyway
start = time.perf_counter()
from depthhub import from_pretrained
model = from_pretrained(sys.argv[1], family=sys.argv[2] or None, offline=True)
print(f"{time.perf_counter() - start:.6f}")
assert "huggingface_hub" not in sys.modules, "a warm load must not import the Hub's client"
"""


class Story:
    """Prints one line a step: seconds since the start, seconds of the step, what happened."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()

    def tell(self, text: str) -> None:
        now = time.perf_counter()
        print(f"{now - self.start:7.2f} s  (+{now - self.last:6.2f})  {text}", flush=True)
        self.last = now


class StoryHandler(logging.Handler):
    """The library's own INFO messages are the steps."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.INFO)
        self.story = story

    def emit(self, record: logging.LogRecord) -> None:
        self.story.tell(record.getMessage())


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--hub", action="store_true", help="use the real Hugging Face Hub and the real vits")
    parser.add_argument("--image", type=Path, default=PHOTO, help="a photograph (default: the one that ships)")
    parser.add_argument("--out", type=Path, default=HERE / ".demo", help="folder for cache and picture")
    args = parser.parse_args()

    empty(args.out)
    os.environ["DEPTHHUB_CACHE"] = str(args.out / "cache")
    story = Story()
    with ExitStack() as stack:
        if args.hub:
            source, family = "vits", None
            story.tell("using the real Hub")
        else:
            source, family = f"{REPO}/{FILE}", "v2"
            hub = local_hub(args.out, story)
            stack.callback(hub.close)
        first = first_call(source, family, story)
        if not args.hub:
            asked = ", ".join(f"{request.method} {request.status} ({request.host})" for request in hub.requests)
            story.tell(f"the Hub's log of it: {asked}")
        picture = draw(source, family, args.image, args.out, story)
    second = second_process(source, family, story)
    print()
    ratio = f"{first / second:,.0f} times faster"
    print(f"first call, everything included   {first * 1e3:9.1f} ms   download, verify, infer, convert, publish, load")
    print(f"second process, from the cache    {second * 1e3:9.1f} ms   {ratio}; no network, no lock")
    print(f"depth picture                     {picture}")
    if not args.hub:
        print("The weights are made by a rule: the picture shows that every step ran, not depth.")
    return 0


def empty(folder: Path) -> None:
    """A fresh folder: an earlier run's is emptied, anybody else's is left alone."""
    mark = folder / ".made-by-scripts-demo"
    if mark.exists():
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        sys.exit(f"scripts/demo: {folder} is not empty and not from an earlier run; name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()


def local_hub(folder: Path, story: Story):
    """A Hub on loopback that offers the checkpoint, in the environment of this process and its children."""
    from depthhub.testing import LocalHub, make_checkpoint

    checkpoint = make_checkpoint(folder / FILE, encoder="vits")
    story.tell(f"made a full-size vits checkpoint by rule: {checkpoint.stat().st_size / 1e6:,.1f} MB")
    hub = LocalHub().start()
    commit = hub.add_file(REPO, FILE, checkpoint)
    os.environ.update(HF_ENDPOINT=hub.endpoint, HF_HOME=str(folder / "hf"), HF_HUB_DISABLE_TELEMETRY="1")
    story.tell(f"a Hub on {hub.endpoint} offers {REPO}, commit {commit[:12]}")
    return hub


def first_call(source: str, family: str | None, story: Story) -> float:
    import torch  # noqa: F401  its import is nobody's download or load time

    from depthhub import from_pretrained

    story.tell("imported torch and depthhub")
    logger = logging.getLogger("depthhub")
    logger.setLevel(logging.INFO)
    logger.addHandler(StoryHandler(story))
    start = time.perf_counter()
    model = from_pretrained(source, family=family)
    seconds = time.perf_counter() - start
    story.tell(f"loaded: {sum(p.numel() for p in model.parameters()):,} parameters")
    return seconds


def draw(source: str, family: str | None, image: Path, out: Path, story: Story) -> Path:
    from depthhub.cli import main as depthhub

    picture = out / f"{image.stem}-depth.png"
    options = ["--family", family] if family else []
    command = ["predict", "--quiet", str(image), "--model", source, *options, "--side-by-side", "-o", str(picture)]
    with redirect_stdout(io.StringIO()):  # it prints the picture's path, which comes at the end of this story
        failed = depthhub(command)
    if failed:
        sys.exit("scripts/demo: the prediction failed")
    story.tell(f"wrote the depth picture, {picture.stat().st_size / 1e3:,.0f} kB")
    return picture


def second_process(source: str, family: str | None, story: Story) -> float:
    command = [sys.executable, "-c", SECOND_PROCESS, source, family or ""]
    seconds = float(subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout)
    story.tell("a second process, without a network, loaded it from the cache")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
