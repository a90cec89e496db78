"""What the trials put into caches: a small checkpoint on a Hub, and smaller entries that need no conversion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depthhub.progress import Progress
from depthhub.testing import Size, make_checkpoint
from depthhub_cache.identity import ContentHash, Key, make_key
from depthhub_cache.store import Store

from .children import Tell, in_a_child
from .hub_process import HubProcess
from .soundness import sha256_of

if TYPE_CHECKING:
    from depthhub import DepthModel

REPO, FILE = "owner/repo", "small.pth"
SOURCE = f"{REPO}/{FILE}"
FAMILY = "v2"

SMALL = Size(
    width=64,
    blocks=4,
    reassembly_channels=(8, 8, 8, 8),
    fusion_channels=8,
    base_grid=2,
    patch_size=2,
    head_channels=4,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an undisturbed call made: the key of its entry, the sha256 of its weights, the digest of its model."""

    key: Key
    sha256: str
    model: str

    @property
    def expected(self) -> dict[Key, str]:
        return {self.key: self.sha256}


def small_checkpoint(path: Path, *, seed: int = 0) -> Path:
    """Half a megabyte in the authors' layout. The seed decides the numbers."""
    return make_checkpoint(path, encoder=SMALL, seed=seed, dtype="float16")


def offer(hub: HubProcess, folder: Path) -> Known:
    """Put the small checkpoint on the Hub as SOURCE; what an undisturbed call makes of it."""
    from depthhub import from_pretrained, prewarm

    hub.call("add_file", REPO, FILE, small_checkpoint(folder / FILE))
    undisturbed = folder / "undisturbed"

    def call(_: Tell) -> Known:
        [made] = prewarm([SOURCE], family=FAMILY, cache_dir=undisturbed)
        model = from_pretrained(SOURCE, family=FAMILY, cache_dir=undisturbed)
        return Known(key=made.key, sha256=sha256_of(made.path), model=digest_of(model))

    ended = in_a_child(call)
    if ended.how != "done":
        raise RuntimeError(f"an undisturbed call {ended}")
    return ended.value


def digest_of(model: DepthModel) -> str:
    """sha256 over the names and numbers of a model's parameters."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.float().numpy().tobytes())
    return digest.hexdigest()


def stages_told(tell: Tell) -> Callable[[Progress], None]:
    """A progress callback that tells each stage when it begins; `writing` is the second half of converting."""
    last = ""

    def report(progress: Progress) -> None:
        nonlocal last
        stage = "writing" if progress.stage == "converting" and progress.done else progress.stage
        if stage != last:
            last = stage
            tell(stage)

    return report


def sample_key(name: object) -> Key:
    return make_key(ContentHash(hashlib.sha256(b"sample").hexdigest()), {"name": str(name)})


def sample_weights(name: object, size: int = 20_000) -> bytes:
    """A whole safetensors file with one tensor of `size` bytes."""
    header = {"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    seed = hashlib.sha256(str(name).encode()).digest()
    return len(text).to_bytes(8, "little") + text + (seed * (size // len(seed) + 1))[:size]


def publish_sample(store: Store, name: object) -> Key:
    """Publish the sample entry `name`, as those who convert a checkpoint do."""
    with store.stage() as staging:
        with staging.file("weights.safetensors") as staged:
            staged.write(sample_weights(name))
        return store.publish(sample_key(name), staging, about={"name": str(name)}).key


def sample_sha256(name: object, size: int = 20_000) -> str:
    return hashlib.sha256(sample_weights(name, size)).hexdigest()
