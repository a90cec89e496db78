"""Strange catalogs, config.json, and headers of safetensors."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.cache import samples

from depthhub import source
from depthhub.catalog.file import read_catalog
from depthhub.checkpoint.containers import OpenCheckpoint
from depthhub.checkpoint.header import build_stated_in, canonical_json, read_header
from depthhub.errors import CatalogError, CheckpointError
from depthhub.model.config import Build, ModelConfig
from depthhub.steps.stated import stated_in
from depthhub_cache.safetensors_header import check_header, header_digest

from . import bombs
from .fuzz_target import Change, Target, words_in
from .mutations import Mutator

# the catalog, and what lies beside checkpoints


def catalogs(file: Path, chance: random.Random) -> Target:
    built_in = json.loads((Path(source.__file__).parent / "catalog" / "catalog.json").read_bytes())
    chosen = built_in["checkpoints"]
    metric = next(item for item in chosen if (item.get("build") or {}).get("max_depth"))
    unsupported = next(item for item in chosen if item.get("unsupported"))
    small = {"version": 1, "about": "two", "aliases": {"alias": metric["name"]}, "checkpoints": [metric, unsupported]}
    sound = [json.dumps(small).encode(), json.dumps({**small, "aliases": {}, "checkpoints": chosen[:3]}).encode()]

    def parse(data: bytes) -> None:
        file.write_bytes(data)
        entries, aliases = read_catalog(file)
        assert set(aliases.values()) <= {entry.name for entry in entries}

    return Target(
        name="catalogs",
        share=100,
        sound=sound,
        change=_json(chance, sound[0]),
        parse=parse,
        refusals=(CatalogError,),
        bombs=bombs.instead_of(sound[0], b'"two"', json.dumps(metric["size"]).encode()),
    )


def configs(chance: random.Random) -> Target:
    port = {"model_type": "depth_anything", "max_depth": 20, "depth_estimation_type": "metric"}
    port |= {"backbone_config": {"hidden_size": 384, "num_hidden_layers": 12, "out_indices": [3, 6, 9, 12]}}
    authors = {"encoder": "vits", "features": 64, "out_channels": [48, 96, 192, 384], "max_depth": 80}
    sound = [json.dumps(port).encode(), json.dumps(authors).encode()]
    return Target(
        name="config.json beside checkpoints",
        share=60,
        sound=sound,
        change=_json(chance, sound[0] + sound[1]),
        parse=stated_in,
        refusals=(),
        bombs=bombs.instead_of(sound[0], b"20", b"384", b"[3, 6, 9, 12]"),
    )


def _json(chance: random.Random, sound: bytes) -> Change:
    mutator = Mutator(chance, tokens=words_in(sound))

    def change(data: bytes, others: Sequence[bytes]) -> bytes:
        return mutator.bytes(data, others) if chance.random() < 0.4 else mutator.json_text(data)

    return change


# headers of safetensors


def headers_in_the_store(file: Path, chance: random.Random) -> Target:
    def parse(data: bytes) -> None:
        file.write_bytes(data)
        digest = header_digest(file, len(data))
        length = int.from_bytes(data[:8], "little")
        assert digest == hashlib.sha256(data[: 8 + length]).hexdigest()
        check_header(file, len(data))
        assert length + 8 <= len(data)

    sound = samples.weights_of("vits")
    more = _framed({"a": _tensor("F32", [2, 3], 0), "b": _tensor("F32", [1], 24)}, bytes(28))
    return Target(
        name="safetensors headers of entries",
        share=140,
        sound=[sound, more],
        change=_frame(chance, sound + more),
        parse=parse,
        refusals=(ValueError,),
        bombs=bombs.headers(),
    )


_TINY = ModelConfig(
    family="v2-metric",
    width=128,
    blocks=8,
    heads=2,
    patch_size=14,
    base_grid=(16, 16),
    reassembly_channels=(16, 32, 64, 128),
    fusion_channels=32,
    head_channels=32,
    mlp="gelu",
    mlp_width=512,
    taps=(1, 3, 5, 7),
    activation="sigmoid",
    max_depth=20.0,
)


def converted_headers(file: Path, chance: random.Random) -> Target:
    config = _TINY._asdict()
    recipe = {"build": Build("v2-metric", 20.0).to_json(), "dtype": None, "layout_version": 1}
    text = canonical_json({"config": config, "content_hash": "0" * 64, "recipe": recipe})
    sound = _framed({"__metadata__": {"depthhub": text}, "a": _tensor("F32", [1], 0)}, bytes(4))
    frame, mutator = _frame(chance, sound), Mutator(chance, tokens=words_in(text.encode()))

    def change(data: bytes, others: Sequence[bytes]) -> bytes:
        if chance.random() < 0.5:
            return frame(data, others)
        changed = mutator.json_text(text.encode()).decode()
        return _framed({"__metadata__": {"depthhub": changed}, "a": _tensor("F32", [1], 0)}, bytes(4))

    def parse(data: bytes) -> None:
        file.write_bytes(data)
        with suppress(CheckpointError), OpenCheckpoint(file) as opened:
            build_stated_in(opened)
        found = read_header(file)
        assert json.loads(found.to_text())
        assert found.config.summary()

    return Target(
        name="headers of converted files",
        share=110,
        sound=[sound],
        change=change,
        parse=parse,
        refusals=(CheckpointError,),
        bombs=bombs.headers(),
    )


def _frame(chance: random.Random, sound: bytes) -> Change:
    mutator = Mutator(chance, tokens=words_in(sound))

    def change(data: bytes, others: Sequence[bytes]) -> bytes:
        way = chance.random()
        if way < 0.3:
            return mutator.bytes(data, others)
        length = int.from_bytes(data[:8], "little")
        header, rest = data[8 : 8 + length], data[8 + length :]
        header = mutator.json_text(header) if way < 0.8 else mutator.bytes(header, [header])
        length = len(header) if way < 0.95 else mutator.number() % (1 << 64)
        return length.to_bytes(8, "little") + header + rest

    return change


def _tensor(dtype: str, shape: list[int], begin: int) -> dict[str, object]:
    size = 4
    for number in shape:
        size *= number
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}


def _framed(header: Mapping[str, object], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data
