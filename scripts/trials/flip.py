"""Damages files of a cache, a bit or a block at a time, and asks the checks, then a load, what they make of it.

Deep verification has to find everything; the quick one every file that was cut, and every change to a header, a record
or a ref. A load may give the right model, which may be made again, or an error of the family. Numbers that changed in
place are found by `verify=True` alone: without it a load gives them as they are, which is the control.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cache import samples

from depthhub_cache.bundles.packing import export_bundle
from depthhub_cache.bundles.unpacking import import_bundle
from depthhub_cache.errors import BrokenEntryError, BundleError, DepthHubError
from depthhub_cache.identity import Key
from depthhub_cache.store import Store

from .children import Tell, in_a_child
from .damage import CHANGES_SIZE, damaged, draw, flip_before
from .ready import get_ready
from .report import Report
from .soundness import unsound
from .trial import Count, Options
from .workplace import workplace

COUNTS = {
    "checks": Count(short=600, full=20_000),
    "loads": Count(short=60, full=3_000),
}

_BATCH = 100
_RACY = 2.1
"""Seconds that a checkpoint must be old, so that its digest is remembered."""

_CONTROL_NUMBERS = "control: changed numbers that the quick check lets pass"
_CONTROL_LOADS = "control: loads without verify=True that gave changed numbers"


def run(options: Options) -> Report:
    """The checks, area by area, then the loads."""
    report = Report("flip")
    logging.getLogger("depthhub_cache").setLevel(logging.CRITICAL)
    logging.getLogger("depthhub").setLevel(logging.CRITICAL)
    chance = options.random()
    with workplace(options) as folder:
        get_ready(folder / "home")
        sample = Sample.make(folder)
        shares: list[tuple[Callable[[Report, Sample, random.Random], None], int]] = [
            (_damage_numbers, 30), (_damage_header, 15), (_damage_record, 20), (_damage_ref, 15), (_damage_bundle, 20),
        ]  # fmt: skip
        for check, share in shares:
            for _ in range(max(1, options["checks"] * share // 100)):
                check(report, sample, chance)
        report.require(_CONTROL_NUMBERS)
        for first in range(0, options["loads"], _BATCH):
            _load_many(report, sample, min(_BATCH, options["loads"] - first), chance.randrange(1 << 32))
        report.require(_CONTROL_LOADS)
    report.note(
        f"an entry of {len(sample.weights):,} bytes, its header {sample.header:,}; a bundle of two small entries"
    )
    return report


@dataclass(frozen=True, slots=True)
class Sample:
    """A cache with one entry of a checkpoint made by rule and the ref of its file; what its files hold."""

    folder: Path
    checkpoint: Path
    key: Key
    paths: dict[str, Path]
    contents: dict[str, bytes]
    bundle: bytes
    digest: str

    @classmethod
    def make(cls, folder: Path) -> Sample:
        from depthhub.testing import Size, make_checkpoint

        size = Size(
            width=64, blocks=4, reassembly_channels=(8, 8, 8, 8), fusion_channels=8, base_grid=2, head_channels=4
        )
        checkpoint = make_checkpoint(folder / "checkpoint.pth", encoder=size)
        time.sleep(_RACY)
        digest = _load(checkpoint, folder / "cache", verify=False)
        store = Store(folder / "cache")
        store.sweep()
        [entry] = store.entries()
        [ref] = (store.root / "v1" / "refs").glob("*/*.json")
        paths = {"weights": entry.weights, "record": entry.path / "entry.json", "ref": ref}
        contents = {area: path.read_bytes() for area, path in paths.items()}
        return cls(folder, checkpoint, entry.key, paths, contents, _bundle(folder), digest)

    @property
    def store(self) -> Store:
        return Store(self.folder / "cache")

    @property
    def weights(self) -> bytes:
        return self.contents["weights"]

    @property
    def header(self) -> int:
        """Bytes of the header, its length included."""
        return 8 + int.from_bytes(self.weights[:8], "little")

    @contextlib.contextmanager
    def with_damage(self, area: str, data: bytes) -> Iterator[Store]:
        """Its cache, in which the file of an area holds `data` for as long as the context lasts."""
        self.paths[area].write_bytes(data)
        try:
            yield self.store
        finally:
            self.paths[area].write_bytes(self.contents[area])


def _bundle(folder: Path) -> bytes:
    store, out = Store(folder / "exporting"), io.BytesIO()
    for name in ("vits", "vitb"):
        samples.publish(store, name, data=samples.weights_of(name, 3_000))
    export_bundle(store, list(store.keys()), {"hub:a": {"turn": 1}}, out.write)
    return out.getvalue()


# the checks


def _damage_numbers(report: Report, sample: Sample, chance: random.Random) -> None:
    """Anywhere behind the header, or at the end of the file."""
    kind = draw(chance)
    head, numbers = sample.weights[: sample.header], sample.weights[sample.header :]
    what = f"weights, {kind}: found deep"
    with sample.with_damage("weights", head + damaged(numbers, kind, chance)) as store:
        report.did(what)
        if not _is_broken(store, sample.key, deep=True):
            report.violated(what, "deep verification finds nothing")
        found = _is_found_quick(report, store, sample.key)
        if kind in CHANGES_SIZE:
            report.did("weights of another size: found quick")
            if not found:
                report.violated("weights of another size: found quick", kind)
        else:
            report.did(_CONTROL_NUMBERS, not found)


def _damage_header(report: Report, sample: Sample, chance: random.Random) -> None:
    what = "weights, bit flipped in the header: found quick and deep"
    with sample.with_damage("weights", flip_before(sample.weights, sample.header, chance)) as store:
        report.did(what)
        if not _is_found_quick(report, store, sample.key) or not _is_broken(store, sample.key, deep=True):
            report.violated(what, "not found")


def _damage_record(report: Report, sample: Sample, chance: random.Random) -> None:
    kind = draw(chance)
    what = f"record, {kind}: found quick and deep"
    with sample.with_damage("record", damaged(sample.contents["record"], kind, chance)) as store:
        report.did(what)
        if not _is_found_quick(report, store, sample.key) or not _is_broken(store, sample.key, deep=True):
            report.violated(what, "not found")


def _damage_ref(report: Report, sample: Sample, chance: random.Random) -> None:
    kind = draw(chance)
    what = f"ref, {kind}: found, and not believed"
    with sample.with_damage("ref", damaged(sample.contents["ref"], kind, chance)) as store:
        report.did(what)
        if store.recall(f"file:{sample.checkpoint}") is not None or list(store.refs()):
            report.violated(what, "it is believed")
        if [path for path, _ in store.broken_refs()] != [sample.paths["ref"]]:
            report.violated(what, "it is not reported")


def _damage_bundle(report: Report, sample: Sample, chance: random.Random) -> None:
    kind = draw(chance)
    what = f"bundle, {kind}: refused, and nothing bad stays"
    data = damaged(sample.bundle, kind, chance)
    store = Store(sample.folder / "importing")
    report.did(what)
    try:
        import_bundle(store, io.BytesIO(data), Path("models.tar"))
    except BundleError:
        for complaint in unsound(store):
            report.violated(what, complaint)
    else:
        report.violated(what, "it is imported")
    shutil.rmtree(store.root, ignore_errors=True)


def _is_broken(store: Store, key: Key, *, deep: bool) -> bool:
    try:
        store.verify(key, deep=deep)
    except BrokenEntryError:
        return True
    return False


def _is_found_quick(report: Report, store: Store, key: Key) -> bool:
    """By `verify` without --deep, and by the check of every load alike."""
    broken, missing = _is_broken(store, key, deep=False), store.get(key) is None
    if missing and not broken:
        report.violated("quick verification", "it passes what a load refuses")
    return broken and missing


# the loads


def _load_many(report: Report, sample: Sample, loads: int, seed: int) -> None:
    """In a process of its own: a mapped file that is damaged may end it."""
    ended = in_a_child(partial(_loads, sample, loads, random.Random(seed)), seconds=600)
    if ended.how != "done":
        report.violated("loads from a damaged cache", f"a process that loads {ended}; its last: {ended.last_mark}")
        return
    counts, violations = ended.value
    for what, count in counts.items():
        report.did(what, count)
    for what, violation in violations:
        report.violated(what, violation)


def _loads(sample: Sample, loads: int, chance: random.Random, tell: Tell) -> tuple[Counter[str], list[tuple[str, str]]]:
    counts: Counter[str] = Counter()
    violations: list[tuple[str, str]] = []
    for number in range(loads):
        cache = sample.folder / "loading"
        shutil.copytree(sample.folder / "cache", cache)
        hurt = {area: draw(chance) for area in chance.sample(list(sample.paths), chance.choice((1, 1, 1, 2)))}
        verify = chance.random() < 0.5
        if number == 0:  # the control, whatever chance may bring
            hurt, verify = {"weights": "bit flipped"}, False
        words = f"{', '.join(f'{area} {kind}' for area, kind in hurt.items())}{', verify=True' if verify else ''}"
        tell(words)
        numbers_alone = False
        for area, kind in hurt.items():
            data = damaged(sample.contents[area], kind, chance)
            path = cache / sample.paths[area].relative_to(sample.folder / "cache")
            path.write_bytes(data)
            if area == "weights":
                numbers_alone = data[: sample.header] == sample.weights[: sample.header] and kind not in CHANGES_SIZE
        unseen = numbers_alone and not verify and "record" not in hurt
        what = f"loads, {' and '.join(sorted(hurt))} damaged{', verify=True' if verify else ''}"
        counts[what] += 1
        try:
            digest = _load(sample.checkpoint, cache, verify=verify)
        except DepthHubError as error:
            counts[f"loads that ended in {type(error).__name__}"] += 1
        except Exception as error:  # noqa: BLE001  whatever it is, it is none of the family
            violations.append((what, f"{words}: {type(error).__name__}: {error}"))
        else:
            counts["loads that gave the right model"] += digest == sample.digest
            if digest != sample.digest and unseen:
                counts[_CONTROL_LOADS] += 1
            elif digest != sample.digest:
                violations.append((what, f"{words}: a wrong model"))
        if not unseen:
            violations.extend((what, f"{words}: afterwards {complaint}") for complaint in _left(Store(cache)))
        shutil.rmtree(cache)
    return counts, violations


def _left(store: Store) -> Iterator[str]:
    """A load makes again what it found broken; a ref it may leave alone, if it had no need of it."""
    return (complaint for complaint in unsound(store) if "refs" not in complaint)


def _load(checkpoint: Path, cache: Path, *, verify: bool) -> str:
    """The digest of all numbers of the model that a load gives."""
    from depthhub import from_pretrained

    model = from_pretrained(checkpoint, family="v2", cache_dir=os.fspath(cache), offline=True, verify=verify)
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
